import OpenAI from 'openai'
import { RETRIES, livedThrough } from './cells.mjs'

await livedThrough(cell => {
  const sdk = new OpenAI({ apiKey: 'k', baseURL: cell.base_url, maxRetries: RETRIES })
  return (cell.dialect === 'chat' ? chat : responses)(sdk, cell)
})

function chat(sdk, cell) {
  const messages = [{ role: 'user', content: cell.prompt }]
  const tools = cell.tools.map(tool => ({ type: 'function', function: { ...tool, strict: true } }))
  return async results => {
    messages.push(...results.map(x => ({ role: 'tool', tool_call_id: x.id, content: x.result })))
    const request = { model: 'm-1', messages, tools }
    const got = cell.streamed
      ? await sdk.chat.completions.stream(request).finalChatCompletion()
      : await sdk.chat.completions.create(request)
    const { message, finish_reason: finish } = got.choices[0]
    messages.push(message)
    const calls = (message.tool_calls ?? []).map(({ id, function: { name, arguments: text } }) => ({ id, name, arguments: JSON.parse(text) }))
    return { text: message.content ?? '', calls, finish }
  }
}

function responses(sdk, cell) {
  const input = [{ role: 'user', content: cell.prompt }]
  const tools = cell.tools.map(tool => ({ type: 'function', ...tool, strict: true }))
  return async results => {
    input.push(...results.map(x => ({ type: 'function_call_output', call_id: x.id, output: x.result })))
    const request = { model: 'm-1', input, tools }
    const got = cell.streamed ? await sdk.responses.stream(request).finalResponse() : await sdk.responses.create(request)
    input.push(...got.output)
    const calls = got.output.filter(item => item.type === 'function_call')
      .map(x => ({ id: x.call_id, name: x.name, arguments: JSON.parse(x.arguments) }))
    return { text: got.output_text, calls, finish: got.status }
  }
}
