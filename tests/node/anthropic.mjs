import Anthropic from '@anthropic-ai/sdk'
import { RETRIES, livedThrough } from './cells.mjs'

await livedThrough(cell => {
  const sdk = new Anthropic({ apiKey: 'k', baseURL: cell.base_url, maxRetries: RETRIES })
  const messages = [{ role: 'user', content: cell.prompt }]
  const tools = cell.tools.map(tool => ({ name: tool.name, input_schema: tool.parameters }))
  return async results => {
    const blocks = results.map(x => ({ type: 'tool_result', tool_use_id: x.id, content: x.result }))
    if (blocks.length) messages.push({ role: 'user', content: blocks })
    const request = { model: 'm-1', max_tokens: 99, messages, tools }
    const got = cell.streamed ? await sdk.messages.stream(request).finalMessage() : await sdk.messages.create(request)
    messages.push({ role: 'assistant', content: got.content })
    const text = got.content.filter(block => block.type === 'text').map(block => block.text).join('')
    const calls = got.content.filter(block => block.type === 'tool_use')
      .map(x => ({ id: x.id, name: x.name, arguments: x.input }))
    return { text, calls, finish: got.stop_reason }
  }
})
