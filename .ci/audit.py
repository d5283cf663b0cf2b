"""Asks the package index for known vulnerabilities of what is installed; says so when it does not answer.

    python .ci/audit.py

Exit codes: 0 none is known, or the index gives no such data; 1 there are some.
"""

import json
import subprocess
import sys
from typing import Any

COMMAND = [sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--format", "json"]


def main() -> int:
    """Prints what is known and returns the exit code."""
    ran = subprocess.run(
        [*COMMAND, "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )
    try:
        packages = json.loads(ran.stdout)["dependencies"]
    except (ValueError, KeyError):
        why = ran.stderr.strip().rpartition("\n")[2][:200]
        print(f"audit: NOT DONE: the index does not answer: {why}")
        return 0
    code, lines = judge(packages)
    print("\n".join(lines))
    return code


def judge(packages: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Returns the exit code and what to say, for the `dependencies` of pip-audit's report."""
    asked = [p for p in packages if "skip_reason" not in p]
    lines = [
        f"audit: {p['name']} {p['version']}: {v['id']}, "
        f"fixed in {', '.join(v['fix_versions']) or 'no version'}"
        for p in asked
        for v in p["vulns"]
    ]
    skipped = [p for p in packages if "not found" in p.get("skip_reason", "")]
    if not asked:
        return 0, [f"audit: NOT DONE: the index has data on none of {len(packages)} packages"]
    if skipped:
        lines.append(f"audit: the index has no data on {', '.join(p['name'] for p in skipped)}")
    known = sum(len(p["vulns"]) for p in asked)
    return int(known > 0), [*lines, f"audit: {known} known in {len(asked)} packages"]


if __name__ == "__main__":
    sys.exit(main())
