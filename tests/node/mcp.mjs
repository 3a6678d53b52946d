// The errand of tests/support/mcp_clients.py, with the official client of each protocol version.
import { readFileSync } from 'node:fs'
import * as modern from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { Agent, ProxyAgent, fetch } from 'undici'

const ME = { name: 'errand', version: '1' }
const OLD = { Transport: StreamableHTTPClientTransport, client: () => new Client(ME) }
const NEW = {
  Transport: modern.StreamableHTTPClientTransport,
  client: version => new modern.Client(ME, { versionNegotiation: { mode: { pin: version } } }),
}

const cells = JSON.parse(readFileSync(0))
await Promise.all(cells.map(async cell => console.log(JSON.stringify({ cell: cell.cell, ...(await errand(cell)) }))))

async function errand({ url, version, proxy, ca, steps }) {
  const { Transport, client } = version === '2025-11-25' ? OLD : NEW
  const sdk = client(version)
  const transport = new Transport(new URL(url), { fetch: reaching(proxy, readFileSync(ca, 'utf8')) })
  await sdk.connect(transport)
  const tools = (await sdk.listTools()).tools.map(tool => tool.name)
  const seen = []
  for (const step of steps) seen.push(...await Promise.all(step.map(([name, given]) => call(sdk, name, given))))
  const spoken = sdk.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion
  await sdk.close()
  return { tools, seen, version: spoken }
}

// What HTTPS_PROXY and NODE_EXTRA_CA_CERTS do from node 22.21 on, for this node too.
function reaching(proxy, ca) {
  const dispatcher = proxy
    ? new ProxyAgent({ uri: proxy, token: basic(proxy), requestTls: { ca } })
    : new Agent({ connect: { ca } })
  return (url, options) => fetch(url, { ...options, dispatcher })
}

function basic(proxy) {
  const { username, password } = new URL(proxy)
  return 'Basic ' + Buffer.from(`${username}:${password}`).toString('base64')
}

async function call(sdk, name, given) {
  try {
    const result = await sdk.callTool({ name, arguments: given })
    return [result.isError ? 'failed' : 'answered', result.content[0].text]
  } catch (error) {
    return ['raised', error.message]
  }
}
