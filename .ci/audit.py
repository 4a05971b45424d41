"""Check the pinned dependencies for known vulnerabilities; fail if a newer version fixes one.

If the advisory service does not answer (offline, for instance), print that and pass.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"
PATIENCE_S = 10


def audit(pins: list[str], limit_s: float) -> list[dict[str, Any]]:
    """pip-audit's report, one entry per pinned requirement; entries without an answer have a 'skip_reason'."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text("\n".join(pins) + "\n", encoding="utf-8")
        command = [
            sys.executable, "-m", "pip_audit", "--requirement", str(requirements), "--no-deps", "--disable-pip",
            "--format", "json", "--progress-spinner", "off", "--timeout", "3",
        ]  # fmt: skip
        try:
            shown = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
            entries: list[dict[str, Any]] = json.loads(shown.stdout)["dependencies"]
        except (subprocess.TimeoutExpired, ValueError):
            return []
        return entries


def main() -> int:
    """Ask about one package first: without an answer, asking about 150 more would only take time."""
    pins = [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if "==" in line]
    if all("skip_reason" in entry for entry in audit(pins[:1], PATIENCE_S)):
        print("audit skipped: the advisory service does not answer")
        return 0
    entries = audit(pins, 30 * PATIENCE_S)
    known = [entry for entry in entries if "skip_reason" not in entry]
    fixable = 0
    for entry in known:
        for found in entry["vulns"]:
            versions = ", ".join(found["fix_versions"])
            fixable += bool(versions)
            advice = f"set it to {versions} in constraints.txt" if versions else "no version fixes it yet"
            print(f"{entry['name']} {entry['version']}: {found['id']}: {advice}")
    print(f"audit: {len(known)} of {len(pins)} pinned packages checked, {fixable} vulnerabilities to fix by an update")
    return 1 if fixable else 0


if __name__ == "__main__":
    sys.exit(main())
