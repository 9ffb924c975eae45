#!/usr/bin/env python3
"""Makes vectors.json of the project Wycheproof's JOSE vectors: trim.py FOLDER, the module's testvectors_v1.

Only fields that the test reads are kept: of a group its keys, of a test its number, comment, token and result.
"""
import json
import pathlib
import sys

FILES = ["json_web_signature", "json_web_crypto", "json_web_key", "json_web_encryption"]


def token(test):
    """The token as text; what is JSON as a whole stays JSON."""
    text = test["jws"] if "jws" in test else test["jwe"]
    return text if isinstance(text, str) else json.dumps(text)


def group(name, whole):
    keys = whole.get("public") or whole["private"]
    tests = [[test["tcId"], test["comment"], token(test), test["result"]] for test in whole["tests"]]
    # An encrypted token is refused before any key is looked at.
    return {"keys": None if name == "json_web_encryption" else keys, "tests": tests}


folder = pathlib.Path(sys.argv[1])
trimmed = {}
for name in FILES:
    whole = json.loads((folder / f"{name}_test.json").read_text())
    trimmed[name] = [group(name, one) for one in whole["testGroups"]]
text = json.dumps(trimmed, separators=(",", ":"), ensure_ascii=False)
pathlib.Path(__file__).with_name("vectors.json").write_text(text.replace("],[", "],\n[") + "\n")
