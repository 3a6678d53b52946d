import { GoogleGenAI } from '@google/genai'
import { RETRIES, livedThrough } from './cells.mjs'

await livedThrough(cell => {
  const retryOptions = { attempts: RETRIES + 1, initialDelay: 0.001, maxDelay: 0.001, jitter: 0 }
  const sdk = new GoogleGenAI({ apiKey: 'AIza-agent', httpOptions: { baseUrl: cell.base_url, retryOptions } })
  return (cell.dialect === 'gemini' ? gemini : interactions)(sdk, cell)
})

function gemini(sdk, cell) {
  const contents = [{ role: 'user', parts: [{ text: cell.prompt }] }]
  const functionDeclarations = cell.tools.map(tool => ({ name: tool.name, parametersJsonSchema: tool.parameters }))
  const config = { tools: [{ functionDeclarations }] }
  return async results => {
    const answers = results.map(x => ({ functionResponse: { id: x.id, name: x.name, response: { output: x.result } } }))
    if (answers.length) contents.push({ role: 'user', parts: answers })
    const request = { model: 'm-1', contents, config }
    const replies = cell.streamed
      ? await collected(await sdk.models.generateContentStream(request))
      : [await sdk.models.generateContent(request)]
    const parts = replies.flatMap(reply => reply.candidates[0].content.parts).filter(part => part.text !== '')
    contents.push({ role: 'model', parts })
    const calls = parts.filter(part => part.functionCall)
      .map(({ functionCall: { id, name, args } }) => ({ id, name, arguments: args }))
    const text = parts.map(part => part.text ?? '').join('')
    return { text, calls, finish: replies.at(-1).candidates[0].finishReason }
  }
}

function interactions(sdk, cell) {
  const tools = cell.tools.map(tool => ({ type: 'function', ...tool }))
  let before = {}
  return async results => {
    const answers = results.map(x => ({ type: 'function_result', call_id: x.id, name: x.name, result: x.result }))
    const made = await sdk.interactions.create({
      model: 'm-1', input: answers.length ? answers : cell.prompt, tools, stream: cell.streamed, ...before,
    })
    const got = cell.streamed ? accumulated(await collected(made)) : made
    before = { previous_interaction_id: got.id }
    const text = got.steps.flatMap(step => step.content ?? []).map(part => part.text).join('')
    const calls = got.steps.filter(step => step.type === 'function_call')
    return { text, calls: calls.map(x => ({ id: x.id, name: x.name, arguments: x.arguments })), finish: got.status }
  }
}

async function collected(stream) {
  const all = []
  for await (const one of stream) all.push(one)
  return all
}

// This client has no accumulator for the events of an interaction: steps by index.
function accumulated(events) {
  const steps = []
  let end = {}
  for (const event of events) {
    if (event.event_type === 'step.start') {
      steps[event.index] = { ...event.step, said: '' }
    } else if (event.event_type === 'step.delta') {
      steps[event.index].said += event.delta.text ?? event.delta.arguments
    } else if (event.event_type === 'step.stop') {
      const step = steps[event.index]
      if (step.type === 'function_call') step.arguments = JSON.parse(step.said)
      else step.content = [{ type: 'text', text: step.said }]
    } else if (event.event_type === 'interaction.completed') {
      end = event.interaction
    } else if (event.event_type === 'error') {
      throw new Error(event.error.message)
    }
  }
  return { ...end, steps }
}
