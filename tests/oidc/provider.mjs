// An OpenID Connect issuer (oidc-provider) for the tests of signed tokens. It issues access tokens for the client
// `ann` by client credentials; the resource names the algorithm. Arguments: the folder of its packages, a port (0
// for any), and the names of the keys. Prints its address.

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [packages, port, ...names] = process.argv.slice(2);
const found = createRequire(`${packages}/`).resolve("oidc-provider");
const { Provider } = await import(pathToFileURL(found));

const KEYS = {
  RS256: ["rsa", { modulusLength: 2048 }],
  PS256: ["rsa", { modulusLength: 2048 }],
  ES256: ["ec", { namedCurve: "P-256" }],
  EdDSA: ["ed25519", {}],
};
const keys = names.flatMap((name) => Object.entries(KEYS).map(([alg, [type, options]]) => {
  const key = generateKeyPairSync(type, options).privateKey.export({ format: "jwk" });
  return { ...key, alg, use: "sig", kid: `${name}-${alg}` };
}));

const server = createServer();
server.listen(Number(port), "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: "ann", client_secret: "a-secret-of-the-test-0815", grant_types: ["client_credentials"],
      response_types: [], redirect_uris: [], token_endpoint_auth_method: "client_secret_post",
    }],
    scopes: ["act", "read", "operator"],
    jwks: { keys },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => {
          const [, , alg, audience] = resource.split(":");
          return {
            scope: "act read operator", audience: audience ?? "life-agent", accessTokenTTL: 300,
            accessTokenFormat: "jwt", jwt: { sign: { alg } },
          };
        },
      },
    },
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
