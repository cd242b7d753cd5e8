"""The Agents SDK: its agents, tools, handoffs, sessions, both transports and MCP servers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import agents
from agents import (
    Agent,
    ApplyPatchTool,
    AsyncComputer,
    ComputerTool,
    CustomTool,
    HostedMCPTool,
    ModelSettings,
    MultiProvider,
    OpenAIConversationsSession,
    OpenAIResponsesCompactionSession,
    RunConfig,
    Runner,
    ShellCallOutcome,
    ShellCommandOutput,
    ShellResult,
    ShellTool,
    SQLiteSession,
    ToolSearchTool,
    apply_diff,
    function_tool,
    responses_websocket_session,
    tool_namespace,
)
from agents.mcp import MCPServerStdio
from checking import MCP, ROOT, check, run
from openai import AsyncOpenAI
from pydantic import BaseModel

# Our model names have a slash, which this SDK would take for the name of a provider.
PROVIDER = MultiProvider(unknown_prefix_mode="model_id")
CONFIG = RunConfig(model_provider=PROVIDER, tracing_disabled=True)


WEATHER = Path(__file__).with_name("weather_mcp.py")
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


class Person(BaseModel):
    name: str
    age: int


@function_tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def agent(script: str, **more: Any) -> Agent[Any]:
    return Agent(name="Helper", instructions="Be brief.", model=f"scripted/{script}", **more)


async def ask(who: Agent[Any], said: Any, **more: Any) -> Any:
    return await Runner.run(who, said, run_config=CONFIG, **more)


@check
async def text() -> None:
    assert (await ask(agent("echo"), "Say this back.")).final_output == "Say this back."
    assert (await ask(agent("instructions"), "What now?")).final_output == "Be brief."


@check
async def streams_the_text() -> None:
    result = Runner.run_streamed(agent("echo"), "Stream this.", run_config=CONFIG)
    said = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert "".join(said) == result.final_output == "Stream this."


@check
async def tool_round_trip() -> None:
    for script in ("tool", "reasoning-tool", "text-then-tool"):
        result = await ask(agent(script, tools=[get_weather]), "Weather?")
        assert result.final_output == "The tool said: sunny in example"


@check
async def parallel_calls_streamed() -> None:
    who = agent("tools-parallel", tools=[get_weather])
    result = Runner.run_streamed(who, "Weather?", run_config=CONFIG)
    kinds = [e.item.type async for e in result.stream_events() if e.type == "run_item_stream_event"]
    assert kinds.count("tool_call_item") == kinds.count("tool_call_output_item") == 2
    assert result.final_output == "The tool said: sunny in example; sunny in example"


@check
async def structured_output() -> None:
    result = await ask(agent("json", output_type=Person), "Who?")
    assert result.final_output == Person(name="example", age=1)


@check
async def handoff() -> None:
    specialist = Agent(name="Specialist", instructions="Help.", model="scripted/transcript")
    result = await ask(agent("tool", handoffs=[specialist]), "I need a specialist.")
    assert result.last_agent.name == "Specialist"
    assert "I need a specialist." in result.final_output
    assert "transfer_to_specialist" in result.final_output


@check
async def agent_as_a_tool() -> None:
    helper = agent("hello").as_tool("ask_helper", "Asks the helper.")
    result = await ask(agent("each-tool", tools=[helper, get_weather]), "Both.")
    assert result.final_output == (
        "The tools said: Hello! How can I help you today?; sunny in example"
    )


@check
async def sqlite_session() -> None:
    session = SQLiteSession("ada", Path("session.db"))
    await ask(agent("recall"), "My name is Ada.", session=session)
    assert "Ada" in (await ask(agent("recall"), "Who am I?", session=session)).final_output
    assert len(await session.get_items()) == 4


@check
async def conversations_session() -> None:
    session = OpenAIConversationsSession()
    first = await ask(agent("tool", tools=[get_weather]), "My name is Ada.", session=session)
    assert first.final_output == "The tool said: sunny in example"
    assert "Ada" in (await ask(agent("recall"), "Who am I?", session=session)).final_output
    items: Any = await session.get_items()
    assert [item.get("role", item["type"]) for item in items] == [
        *("user", "function_call", "function_call_output", "assistant"),
        *("user", "assistant"),
    ]
    assert (await session.pop_item())["role"] == "assistant"
    assert len(await session.get_items()) == 5
    await session.clear_session()


@check
async def compaction_session() -> None:
    session = OpenAIResponsesCompactionSession(
        "ada",
        SQLiteSession("ada", Path("compacted.db")),
        # It takes the names of OpenAI's models only; a deployment of Azure's flavour may have one.
        client=AsyncOpenAI(base_url=f"{ROOT}/openai/v1/"),
        model="gpt-4.1",
        should_trigger_compaction=lambda asked: len(asked["compaction_candidate_items"]) >= 2,
    )
    who = agent("summary")
    for said in ("My dog is called Rex.", "He is brown.", "He likes walks."):
        result = await ask(who, said, session=session)
    assert "Rex" in result.final_output
    assert "compaction" in [item.get("type") for item in await session.get_items()]


@check
async def server_side_state() -> None:
    first = await ask(agent("recall"), "My name is Ada.")
    asked = {"previous_response_id": first.last_response_id}
    assert "Ada" in (await ask(agent("recall"), "Who am I?", **asked)).final_output
    talk = await AsyncOpenAI().conversations.create()
    await ask(agent("recall"), "My name is Bo.", conversation_id=talk.id)
    second = await ask(agent("recall"), "Who am I?", conversation_id=talk.id)
    assert "Bo" in second.final_output


@check
async def stateless() -> None:
    settings = ModelSettings(store=False, response_include=["reasoning.encrypted_content"])
    who = agent("reasoning-tool", tools=[get_weather], model_settings=settings)
    assert (await ask(who, "Weather?")).final_output == "The tool said: sunny in example"


@check
async def websocket_transport() -> None:
    async with responses_websocket_session(unknown_prefix_mode="model_id") as session:
        first = session.run_streamed(agent("tool", tools=[get_weather]), "Weather?")
        async for _ in first.stream_events():
            pass
        assert first.final_output == "The tool said: sunny in example"
        second = await session.run(
            agent("recall"), "My name is Ada.", previous_response_id=first.last_response_id
        )
        assert "Ada" in second.final_output


@check
async def mcp_server_of_the_client() -> None:
    async with MCPServerStdio({"command": sys.executable, "args": [str(WEATHER)]}) as server:
        result = await ask(agent("tool", mcp_servers=[server]), "Weather?")
    assert "sunny in example" in result.final_output


def hosted(**more: Any) -> HostedMCPTool:
    """A tool whose server Antiphon asks, not this client."""
    approve = more.pop("approve", None)
    config: Any = {"type": "mcp", "server_label": "weather", **more}
    return HostedMCPTool(config, on_approval_request=approve)


@check
async def mcp_server_of_the_operator() -> None:
    who = agent("tool", tools=[hosted(require_approval="never")])
    result = await ask(who, "Weather?")
    assert "sunny in example" in result.final_output
    streamed = Runner.run_streamed(who, "Weather?", run_config=CONFIG)
    async for _ in streamed.stream_events():
        pass
    assert streamed.final_output == result.final_output


@check
async def mcp_server_by_its_address() -> None:
    tool = hosted(server_label="other", server_url=MCP, require_approval="never")
    result = await ask(agent("tool", tools=[tool]), "Weather?")
    assert "sunny in example" in result.final_output


@check
async def mcp_call_that_is_refused_and_approved() -> None:
    asked: list[str] = []

    def approve(request: Any) -> Any:
        asked.append(request.data.name)
        return {"approve": len(asked) == 2, "reason": "Ask me again."}

    # The model asks again when it is refused.
    who = agent("tool", tools=[hosted(require_approval="always", approve=approve)])
    result = await ask(who, "Weather?")
    assert "sunny in example" in result.final_output
    assert asked == ["get_weather"] * 2
    calls = [it.raw_item for it in result.new_items if it.type == "tool_call_item"]
    assert [getattr(it, "type", "") for it in calls].count("mcp_call") == 1


@check
async def shell() -> None:
    def execute(request: Any) -> ShellResult:
        done = []
        for command in request.data.action.commands:
            ran = subprocess.run(command, shell=True, capture_output=True, text=True)
            outcome = ShellCallOutcome("exit", ran.returncode)
            done.append(ShellCommandOutput(ran.stdout, ran.stderr, outcome, command))
        return ShellResult(done)

    result = await ask(agent("commands", tools=[ShellTool(execute)]), "echo one\necho two >&2")
    assert "one" in result.final_output and "two" in result.final_output


class Files:
    """Patches applied in this folder, with the texts they led to."""

    def __init__(self) -> None:
        self.texts: list[str | None] = []

    def create_file(self, operation: Any) -> str:
        return self._write(operation, apply_diff("", operation.diff, mode="create"))

    def update_file(self, operation: Any) -> str:
        text = Path(operation.path).read_text()
        return self._write(operation, apply_diff(text, operation.diff))

    def delete_file(self, operation: Any) -> str:
        Path(operation.path).unlink()
        self.texts.append(None)
        return "deleted"

    def _write(self, operation: Any, text: str) -> str:
        Path(operation.path).parent.mkdir(exist_ok=True)
        Path(operation.path).write_text(text)
        self.texts.append(text)
        return "written"


@check
async def apply_patch() -> None:
    files = Files()
    result = await ask(agent("patch", tools=[ApplyPatchTool(files)]), "Patch it.")
    assert result.final_output == "The patches are applied."
    created, updated, deleted = files.texts
    assert "Some fly." in str(created) and "None of them flies." in str(updated)
    assert deleted is None


class Screen(AsyncComputer):
    """A computer that notes what it is told."""

    environment = "browser"
    dimensions = (1024, 768)

    def __init__(self) -> None:
        self.done: list[str] = []

    async def screenshot(self) -> str:
        return PNG

    async def click(self, x: int, y: int, button: str, **more: Any) -> None:
        self.done.append("click")

    async def double_click(self, x: int, y: int, **more: Any) -> None:
        self.done.append("double_click")

    async def scroll(self, x: int, y: int, scroll_x: int, scroll_y: int, **more: Any) -> None:
        self.done.append("scroll")

    async def type(self, text: str) -> None:
        self.done.append("type")

    async def wait(self) -> None:
        self.done.append("wait")

    async def move(self, x: int, y: int, **more: Any) -> None:
        self.done.append("move")

    async def keypress(self, keys: list[str]) -> None:
        self.done.append("keypress")

    async def drag(self, path: list[tuple[int, int]], **more: Any) -> None:
        self.done.append("drag")


@check
async def computer_with_safety_checks() -> None:
    screen, asked = Screen(), []

    def acknowledge(data: Any) -> bool:
        asked.append(data.safety_check.id)
        return True

    tool = ComputerTool(screen, on_safety_check=acknowledge)
    result = await ask(agent("safety", tools=[tool]), "Use it.")
    assert result.final_output.startswith("The tool said:")
    assert asked == ["sc_money", "sc_login"]


@check
async def custom_tool() -> None:
    async def shout(context: Any, said: str) -> str:
        return said.upper()

    tool = CustomTool("shout", "Shouts.", shout)
    assert (await ask(agent("custom", tools=[tool]), "hey")).final_output == "The tool said: HEY"


@check
async def namespace() -> None:
    tools: Any = tool_namespace(name="sky", description="The sky.", tools=[get_weather])
    result = await ask(agent("tool", tools=tools), "Weather?")
    assert result.final_output == "The tool said: sunny in example"


@check
async def tool_search() -> None:
    @function_tool(defer_loading=True)
    def get_tide(port: str) -> str:
        """The tide of a port."""
        return f"high in {port}"

    tools: Any = tool_namespace(name="sea", description="The sea.", tools=[get_tide])
    result = await ask(agent("tool", tools=[*tools, ToolSearchTool()]), "Tide?")
    kinds = [it.type for it in result.new_items]
    assert kinds[:2] == ["tool_search_call_item", "tool_search_output_item"], kinds


@check
async def ends_an_endless_agent() -> None:
    try:
        await ask(agent("endless-tools", tools=[get_weather]), "Go.", max_turns=3)
    except agents.MaxTurnsExceeded:
        return
    raise AssertionError("it went on")


if __name__ == "__main__":
    run("openai-agents", "sunny")
