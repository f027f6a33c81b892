// An OpenID Connect provider for tests: npm's certified oidc-provider, on 127.0.0.1, with accounts and keys that a test sets.
// node provider.js MODULES PORT REDIRECT_URI; then PUT /control with {jwks, accounts} sets what it goes by from then on.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, port, redirectUri] = process.argv.slice(2);
const found = createRequire(`${modules}/`).resolve("oidc-provider");
const { default: Provider } = await import(pathToFileURL(found).href);
const issuer = `http://127.0.0.1:${port}`;
let state = { jwks: undefined, accounts: {} };
let provider;

function account(id) {
  const { amr, acr, ...claims } = state.accounts[id];
  return { accountId: id, claims: async () => ({ sub: id, ...claims }) };
}

async function grantAll(ctx) {
  const grant = new provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
  grant.addOIDCScope("openid profile email groups");
  grant.addResourceScope("urn:gate", "deploy");
  await grant.save();
  return grant;
}

function build() {
  provider = new Provider(issuer, {
    jwks: state.jwks,
    clients: [
      { client_id: "gate", client_secret: "gate-secret", redirect_uris: [redirectUri], grant_types: ["authorization_code"] },
      { client_id: "robot", client_secret: "robot-secret", redirect_uris: [], response_types: [], grant_types: ["client_credentials"] },
    ],
    claims: {
      openid: ["sub", "acr", "amr", "auth_time"],
      profile: ["name", "preferred_username"],
      email: ["email", "email_verified"],
      groups: ["groups"],
    },
    scopes: ["openid", "profile", "email", "groups"],
    acrValues: ["phr", "pwd"],
    conformIdTokenClaims: false,
    cookies: { keys: ["tests"] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => "urn:gate",
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({ audience: "urn:gate", scope: "deploy", accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } } }),
      },
    },
    findAccount: (ctx, id) => (state.accounts[id] ? account(id) : undefined),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant: grantAll,
    pkce: { required: () => true },
    ttl: { Session: 3600, Interaction: 600, Grant: 3600, IdToken: 600, AccessToken: 600, ClientCredentials: 600 },
  });
}

async function body(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return text;
}

async function control(request, response) {
  state = { ...state, ...JSON.parse(await body(request)) };
  build();
  response.writeHead(204).end();
}

async function interaction(request, response) {
  if (request.method === "GET") {
    response.writeHead(200, { "content-type": "text/html" });
    response.end('<form method="post"><input name="login" autofocus><button>Sign in</button></form>');
    return;
  }
  const login = new URLSearchParams(await body(request)).get("login");
  const { amr, acr } = state.accounts[login] ?? {};
  await provider.interactionFinished(request, response, { login: { accountId: login, amr, acr } });
}

createServer(async (request, response) => {
  try {
    if (request.url === "/control") await control(request, response);
    else if (request.url.startsWith("/interaction/")) await interaction(request, response);
    else provider.callback()(request, response);
  } catch (fault) {
    console.error(fault);
    response.writeHead(500).end(String(fault));
  }
}).listen(Number(port), "127.0.0.1", () => console.log("ready"));
