// Runs a client through its cells, side by side, and prints a JSON line for each: what the client saw.
// Standard input holds the cells (tests/support/client_scenarios.py, Cell.told). `open(cell)` gives a function that asks
// for the next turn with the results of the calls before it: {text, calls: [{id, name, arguments}], finish}.
import { readFileSync } from 'node:fs'

export async function livedThrough(open) {
  const cells = JSON.parse(readFileSync(0))
  await Promise.all(cells.map(async cell => console.log(JSON.stringify({ cell: cell.cell, ...(await one(open, cell)) }))))
}

async function one(open, cell) {
  const turns = []
  let results = []
  try {
    const talk = await open(cell)
    do {
      turns.push(await talk(results))
      results = turns.at(-1).calls.map(call => ({ ...call, result: resultOf(cell, call) }))
    } while (results.length)
  } catch (error) {
    const status = error.status ?? error.statusCode ?? error.lastError?.statusCode ?? null
    return { turns, error: { status, message: `${error.message} ${JSON.stringify(error.error ?? error.data ?? '')}` } }
  }
  return { turns, error: null }
}

const resultOf = (cell, call) => `[${cell.cell}] done: ${Object.values(call.arguments).join(' ')}`

export const RETRIES = 4
