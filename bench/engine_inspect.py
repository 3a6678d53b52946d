"""The same work as bench/engine_ours.py in Inspect AI, whose mock model answers in the process, without HTTP.

    INSPECT_PYTHON bench/engine_inspect.py RUNS STEPS FOLDER

Prints one line of JSON: steps, wall_s, cpu_s, peak_mb, passed, version. Only this file needs inspect-ai; it is run by
the interpreter that --inspect names.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import inspect_ai
from inspect_ai import Task, eval  # noqa: A004 (its own name)
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, system_message, use_tools
from inspect_ai.tool import tool


@tool
def lookup():
    async def execute(key: str) -> str:
        """Look a key up.

        Args:
            key: What to look up.

        """
        return json.dumps({"key": key, "value": "a result of some forty characters of text"})

    return execute


def answer(steps: int):
    def output(messages, tools, tool_choice, config):
        results = sum(message.role == "tool" for message in messages)
        if results < steps - 1:
            said = ModelOutput.for_tool_call("mockllm/model", "lookup", {"key": f"k{results}"})
        else:
            said = ModelOutput.from_content("mockllm/model", "The answer is 42.")
        # without usage the mock model counts tokens itself, with a tokenizer's tables from the network
        said.usage = ModelUsage(input_tokens=50, output_tokens=20, total_tokens=70)
        return said

    return output


def main(runs: int, steps: int, folder: str) -> None:
    samples = [Sample(input=f"What is it, number {n}?", target="42", id=n + 1) for n in range(runs)]
    solver = [system_message("Look things up and answer."), use_tools(lookup()), generate(tool_calls="loop")]
    task = Task(dataset=samples, solver=solver, scorer=includes())
    model = get_model("mockllm/model", custom_outputs=answer(steps))
    began, cpu = time.monotonic(), time.process_time()
    (log,) = eval(task, model=model, display="none", log_dir=folder, max_connections=10, log_level="error")
    wall_s, cpu_s = time.monotonic() - began, time.process_time() - cpu
    scores = [next(iter((sample.scores or {}).values()), None) for sample in log.samples or []]
    passed = sum(score is not None and score.value == "C" for score in scores)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row = {"steps": runs * steps, "wall_s": wall_s, "cpu_s": cpu_s, "peak_mb": peak_mb, "passed": passed}
    print(json.dumps({**row, "version": inspect_ai.__version__}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
