"""Scripts as Cloacina's documents have them run with only their import changed."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

DEMO = """
import cloaca
from datetime import datetime

def on_task_success(task_id, context):
    print(f"  [SUCCESS] Task '{task_id}' completed")

def on_task_failure(task_id, error, context):
    print(f"  [FAILURE] Task '{task_id}' failed: {error}")

with cloaca.WorkflowBuilder("file_processor") as builder:
    builder.description("Process incoming files with monitoring")

    @cloaca.task(
        id="validate_file",
        on_success=on_task_success,
        on_failure=on_task_failure
    )
    def validate_file(context):
        filename = context.get("filename", "unknown")
        print(f"  Validating file: {filename}")
        context.set("validated", True)
        return context

    @cloaca.task(
        id="process_file",
        dependencies=["validate_file"],
        on_success=on_task_success,
        on_failure=on_task_failure
    )
    def process_file(context):
        filename = context.get("filename", "unknown")
        print(f"  Processing file: {filename}")
        context.set("processed_at", datetime.now().isoformat())
        return context

file_counter = 0

@cloaca.trigger(
    workflow="file_processor",
    name="file_watcher",
    poll_interval="2s",
    allow_concurrent=False
)
def file_watcher():
    global file_counter
    file_counter += 1
    if file_counter % 5 == 0:
        filename = f"data_{datetime.now().strftime('%H%M%S')}.csv"
        print(f"  [TRIGGER] Found new file: {filename}")
        ctx = cloaca.Context({"filename": filename})
        return cloaca.TriggerResult.fire(ctx)
    return cloaca.TriggerResult.skip()

def main():
    print("Event Triggers and Task Callbacks Demo")
    print("=" * 50)
    runner = cloaca.DefaultRunner(":memory:")
    print("\\nManual execution with callbacks:")
    print("-" * 40)
    context = cloaca.Context({"filename": "report_2024.csv"})
    result = runner.execute("file_processor", context)
    print("-" * 40)
    print(f"Workflow status: {result.status}")
    print("\\nSimulating trigger polls:")
    print("-" * 40)
    for i in range(7):
        result = file_watcher()
        if result.is_fire_result():
            print(f"  Poll {i+1}: FIRE - workflow will execute")
        else:
            print(f"  Poll {i+1}: SKIP - waiting...")
    runner.shutdown()
    print("\\nDemo complete!")

if __name__ == "__main__":
    main()
"""

DEMO_PRINTS = """\
Event Triggers and Task Callbacks Demo
==================================================

Manual execution with callbacks:
----------------------------------------
  Validating file: report_2024.csv
  [SUCCESS] Task 'validate_file' completed
  Processing file: report_2024.csv
  [SUCCESS] Task 'process_file' completed
----------------------------------------
Workflow status: Completed

Simulating trigger polls:
----------------------------------------
  Poll 1: SKIP - waiting...
  Poll 2: SKIP - waiting...
  Poll 3: SKIP - waiting...
  Poll 4: SKIP - waiting...
  [TRIGGER] Found new file: data_TIME.csv
  Poll 5: FIRE - workflow will execute
  Poll 6: SKIP - waiting...
  Poll 7: SKIP - waiting...

Demo complete!
"""

MANAGED = """
import cloaca

@cloaca.trigger(workflow="resilient", name="file_watcher", poll_interval="2s")
def file_watcher():
    return cloaca.TriggerResult.skip()

def buggy_callback(task_id, context):
    raise Exception("Callback error!")

with cloaca.WorkflowBuilder("resilient") as builder:
    @cloaca.task(id="resilient_task", on_success=buggy_callback)
    def resilient_task(context):
        context.set("result", "success")
        return context

runner = cloaca.DefaultRunner(":memory:")

schedules = runner.list_trigger_schedules()
for schedule in schedules:
    print(f"Trigger: {schedule['trigger_name']} -> {schedule['workflow_name']}")

schedule = runner.get_trigger_schedule("file_watcher")
print(f"Poll interval: {schedule['poll_interval_ms']}ms")
print(f"Enabled: {schedule['enabled']}")

runner.set_trigger_enabled("file_watcher", False)
print(runner.get_trigger_schedule("file_watcher")["enabled"])
runner.set_trigger_enabled("file_watcher", True)

history = runner.get_trigger_execution_history("file_watcher", limit=10)
for execution in history:
    print(f"Executed at: {execution['started_at']}")

result = runner.execute("resilient", cloaca.Context({}))
print(result.status, result.final_context.get("result"))

runner.shutdown()
"""


def run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script of Cloacina, with its import changed and nothing else of it."""
    file = folder / "script.py"
    changed = script.replace("\nimport cloaca\n", "\nimport asyncflow.compat.cloaca as cloaca\n")
    file.write_text(changed, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-W", "error", file],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_the_demo_of_triggers_and_callbacks_prints_what_its_document_says(tmp_path: Path) -> None:
    done = run(tmp_path, DEMO)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.sub(r"data_\d{6}", "data_TIME", done.stdout) == DEMO_PRINTS


def test_a_script_manages_its_triggers_and_its_callback_may_fail(tmp_path: Path) -> None:
    done = run(tmp_path, MANAGED)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Trigger: file_watcher -> resilient",
        "Poll interval: 2000ms",
        "Enabled: True",
        "False",
        "Completed success",
    ]
    assert done.stderr.endswith("Exception: Callback error!\n")
