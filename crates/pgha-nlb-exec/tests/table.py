"""A table of `route value` lines; a marker file has it refuse, or kill whoever runs it, at its next change."""
import hashlib, json, os, signal, sys
path = sys.argv[1]
rows = [line.split() for line in open(path)]
digest = lambda: hashlib.sha256(open(path, "rb").read()).hexdigest()
asked = json.load(sys.stdin)
assert asked["version"] == "pgha.dev/traffic-exec/v1"
answer = {"version": asked["version"]}
if asked["operation"] == "observe":
    places = lambda name: [{"at": f"row of {key}", "value": value} for key, value in rows if key == name]
    answer["fence"] = digest()
    answer["routes"] = [{"name": name, "places": places(name)} for name in asked["routes"]]
elif os.path.exists(path + ".fail"):
    answer["outcome"] = {"refused": {"because": "There is a change freeze."}}
elif asked["fence"] != digest():
    answer["outcome"] = {"conflict": {"fence": digest()}}
else:
    if os.path.exists(path + ".kill"):
        os.kill(os.getppid(), signal.SIGKILL)
        sys.exit(1)
    for change in asked["changes"]:
        for row in rows:
            if row[0] == change["route"] and row[1] == change["from"]:
                row[1] = change["to"]
    open(path, "w").write("".join(" ".join(row) + "\n" for row in rows))
    answer["outcome"] = "done"
    answer["evidence"] = ["The table was written."]
print(json.dumps(answer))
