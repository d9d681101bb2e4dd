"""python -m tests.audit: pip-audit on what is installed. 1: a known vulnerability that has a fix; says where it cannot look."""

import json
import subprocess
import sys

UNREACHABLE = (
    "ConnectionError",
    "ProxyError",
    "Max retries",
    "Failed to establish",
    "ServiceError",
    "Connection",
    "HTTPError",
)
ACCEPTED: dict[str, str] = {}  # id -> why it does not concern this app


def main() -> int:
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "--format",
        "json",
        "--progress-spinner",
        "off",
        "--skip-editable",
        "--timeout",
        "10",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        if any(word in done.stderr for word in UNREACHABLE):
            print(f"audit: NOT DONE, the service with known vulnerabilities cannot be reached ({last[:160]})")
            return 0
        print(f"audit: pip-audit failed: {last}")
        return 1
    looked = [package for package in packages if "skip_reason" not in package]
    if not looked:
        print(f"audit: NOT DONE, the service knows none of the packages ({packages[0]['skip_reason'][:120]})")
        return 0
    found = [
        (package["name"], package["version"], one["id"], ", ".join(one["fix_versions"]))
        for package in looked
        for one in package.get("vulns", ())
        if one["fix_versions"] and one["id"] not in ACCEPTED
    ]
    for name, version, known, fixed in found:
        print(f"audit: {name} {version} has {known}; fixed in {fixed}")
    print(
        f"audit: {len(looked)} of {len(packages)} packages looked up, {len(found)} with a vulnerability that has a fix"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
