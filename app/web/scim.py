"""The SCIM 2.0 server at `/scim/v2` (RFC 7643, RFC 7644): identity providers write users and groups, and the access map follows.

What a request writes, what it says to the access map and its audit entries are one transaction: a deactivation holds when it is
answered. The protocol is scim2-server's; here is who may call, what is recorded, and how refusals look. Next: `store/scim.py`.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, g, request
from scim2_flask import ScimServer
from scim2_models import Error, InvalidValueException, PayloadTooLargeException, SCIMException, UnauthorizedException, UniquenessException
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService

from app.bootstrap import Process
from app.domain.access import Page
from app.domain.errors import BadRequest, GateError, Overloaded, RateLimited, StoreUnavailable
from app.integrations.identity.scim import group_from, identity_from
from app.pipeline.say import Scribe
from app.store.scim import Desk, SqlScim, Written
from app.store.session import SqlStore, SqlUnit
from app.web.errors import status_of
from app.web.request import source
from app.web.scim_clients import Caller, Clients
from app.web.scim_service import make_provider, standard

PREFIX = "/scim/v2"
LARGEST_BODY = 1024 * 1024
LONGEST_QUERY = 8192
AT_ONCE = 2  # requests of one process at the database: the others of its few connections are for deliveries
PATIENCE_SECONDS = 5.0
RETRY_AFTER_SECONDS = 5

_log = logging.getLogger(__name__)
