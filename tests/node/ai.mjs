import { createAnthropic } from '@ai-sdk/anthropic'
import { createOpenAI } from '@ai-sdk/openai'
import { generateText, jsonSchema, streamText, tool } from 'ai'
import { RETRIES, livedThrough } from './cells.mjs'

const MODELS = {
  chat: baseURL => createOpenAI({ apiKey: 'k', baseURL }).chat('m-1'),
  responses: baseURL => createOpenAI({ apiKey: 'k', baseURL }).responses('m-1'),
  messages: baseURL => createAnthropic({ apiKey: 'k', baseURL: baseURL + '/v1' })('m-1'),
}

await livedThrough(cell => {
  const model = MODELS[cell.dialect](cell.base_url)
  const messages = [{ role: 'user', content: cell.prompt }]
  const tools = Object.fromEntries(cell.tools.map(t => [t.name, tool({ inputSchema: jsonSchema(t.parameters) })]))
  return async results => {
    const content = results.map(x => ({
      type: 'tool-result', toolCallId: x.id, toolName: x.name, output: { type: 'text', value: x.result },
    }))
    if (content.length) messages.push({ role: 'tool', content })
    const request = { model, messages, tools, maxRetries: RETRIES }
    const got = cell.streamed ? await streamed(request) : await generateText(request)
    messages.push(...await got.responseMessages)
    const calls = (await got.toolCalls).map(x => ({ id: x.toolCallId, name: x.toolName, arguments: x.input }))
    return { text: await got.text, calls, finish: await got.finishReason }
  }
})

// An error within a stream is an event of it here, not an exception.
async function streamed(request) {
  let failed
  const got = streamText({ ...request, onError: ({ error }) => { failed = error } })
  await got.consumeStream()
  if (failed) throw failed instanceof Error ? failed : Object.assign(new Error(failed.message), { error: failed })
  return got
}
