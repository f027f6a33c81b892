"""Who people are: the access map, what sources say, sign-in and account links. Start with `access_map.py`."""
