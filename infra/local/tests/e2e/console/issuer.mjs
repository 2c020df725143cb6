// An OpenID Connect server that is not ours: oidc-provider, with its own forms for signing in.
const [, , module, port, api] = process.argv
const { default: Provider } = await import(module)

new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: 'console',
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    redirect_uris: [`http://127.0.0.1:${api}/`],
    response_types: ['code'],
    grant_types: ['authorization_code'],
  }],
  clientBasedCORS: () => true,
  pkce: { required: () => true },
  jwks: { keys: [await key()] },
}).listen(port, '127.0.0.1')

async function key() {
  const { generateKeyPairSync } = await import('node:crypto')
  return { ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256' }
}
