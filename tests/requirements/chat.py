"""What the backends promise: sending, reading, errors, routing, the scripted model."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "chat:profiles:unsent": Requirement(
        source="issue §3",
        behaviour="Settings an upstream has no field for are reported, not silently ignored.",
    ),
    "chat:count:tokenize": Requirement(
        "stack.md §8", "Where the server counts exactly, the count is the server's."
    ),
    "chat:errors:mapped": Requirement(
        "issue §3",
        "Every refusal of an upstream becomes the status and code that say whose fault it is.",
    ),
    "chat:errors:mid-stream": Requirement(
        "api-surface §7.6",
        "What came before a failure is delivered, and a cut answer is never taken for whole.",
    ),
    "chat:errors:no-secrets": Requirement(
        "issue §6", "No error shows the server's key or what the upstream said about it."
    ),
    "chat:errors:odd-bodies": Requirement(
        "issue §3", "An error body of any shape, HTML included, is understood and clipped."
    ),
    "chat:errors:overflow": Requirement(
        "api-surface §22.43",
        "A context that does not fit is context_length_exceeded in any server's words.",
    ),
    "chat:errors:retry-after": Requirement(
        "api-surface §22.38", "An upstream's wish to wait is read in every form and passed on."
    ),
    "chat:estimate:learns": Requirement(
        "stack.md §8", "Reported usage corrects the estimate of that model, within bounds."
    ),
    "chat:estimate:near": Requirement(
        "stack.md §8", "An estimate is near what a real tokenizer counts, in several scripts."
    ),
    "chat:estimate:remembered": Requirement(
        "issue §3", "What was counted for a turn is not counted again for those that follow."
    ),
    "chat:estimate:whole-turn": Requirement(
        "stack.md §8", "Everything a model reads and writes is in the estimate."
    ),
    "chat:extend:hooks": Requirement(
        "house.md §4.5",
        "A backend built on this one can change where calls go, their body and their reading.",
    ),
    "chat:freeform:any-cut": Requirement(
        "house.md §7 row 5", "Where arguments are cut does not change the raw text."
    ),
    "chat:freeform:other-shapes": Requirement(
        "api-surface §22.11", "Arguments of another shape are opened or taken as they are."
    ),
    "chat:freeform:unwrap": Requirement(
        "api-surface §22.11", "A freeform tool gets its raw text, not JSON, while it arrives."
    ),
    "chat:http:closing": Requirement(
        "issue §3", "Closing the stream stops the upstream call at once."
    ),
    "chat:http:content-type": Requirement(
        "issue §3", "An answer is read as what it says it is, streamed or not."
    ),
    "chat:http:headers": Requirement(
        "issue §1",
        "The key and the configured headers are sent, the key where the server wants it.",
    ),
    "chat:http:reuse": Requirement(
        "perf.md, decision 1",
        "One connection serves turn after turn, streams and refusals included.",
    ),
    "chat:learn:dispensable": Requirement(
        "issue §5",
        "A field the server does not know is left out, said in words or renamed from then on.",
    ),
    "chat:learn:nothing-else": Requirement(
        "issue §3", "A field that changes the answer is never dropped in silence."
    ),
    "chat:learn:wordings": Requirement(
        "issue §5",
        "The refused field is found in the words of different servers, and nothing else is blamed.",
    ),
    "chat:models:cached": Requirement(
        "api-surface §2.4",
        "The upstream's models are asked for once a minute; none if it does not tell.",
    ),
    "chat:profiles:effort": Requirement(
        "api-surface §6.5",
        "An effort becomes the nearest one the server knows, and none never becomes some.",
    ),
    "chat:profiles:guessed": Requirement(
        "issue §5", "A profile is guessed from well-known addresses only."
    ),
    "chat:profiles:named": Requirement(
        "issue §1", "The settings know every profile, and an unknown one is a mistake."
    ),
    "chat:read:any-cut": Requirement(
        "house.md §7 row 5", "Where the bytes are cut does not change the deltas."
    ),
    "chat:read:dialects": Requirement(
        "house.md §7 row 4",
        "Recorded answers of many servers become the deltas written beside them.",
    ),
    "chat:read:garbage-clipped": Requirement(
        "issue §3", "What is not an answer is an error that shows 200 characters at most."
    ),
    "chat:read:inline-thinking": Requirement(
        "api-surface §22.17",
        "Reasoning left in the text between tags is told apart from the answer.",
    ),
    "chat:read:line-ends": Requirement(
        "WHATWG HTML §9.2.6", "Any line ending of the event stream gives the same deltas."
    ),
    "chat:read:same-either-way": Requirement(
        "issue §3", "A whole answer gives the same deltas as a streamed one."
    ),
    "chat:route:closing": Requirement(
        "house.md §4.5",
        "Closing reaches the backend at once; a failed start closes what was opened.",
    ),
    "chat:route:fallback": Requirement(
        "issue §5", "After a failure before its first word the next route answers."
    ),
    "chat:route:models": Requirement("issue §3", "Models are listed under the names callers use."),
    "chat:route:no-end": Requirement("house.md §4.6", "An answer that has no end is a failure."),
    "chat:route:promises": Requirement(
        "issue §3", "With a fallback, only what every route enforces counts as enforced."
    ),
    "chat:route:retries": Requirement(
        "issue §3", "Retries are bounded, slower each time, and only before the first word."
    ),
    "chat:route:retry-after": Requirement(
        "api-surface §22.38",
        "An upstream's wish to wait is kept when short and passed on when long.",
    ),
    "chat:route:table": Requirement(
        "issue §5",
        "Model names lead to backends; a named route goes before one for everything else.",
    ),
    "chat:route:unknown": Requirement(
        "api-surface §1.4", "A model no route serves is 404 model_not_found."
    ),
    "chat:route:usage": Requirement(
        "api-surface §22.33",
        "A turn whose upstream reports no usage gets an estimate, reported usage is kept.",
    ),
    "chat:scripted:answers": Requirement(
        "house.md §7 row 9", "Scripts answer as their names say, from what they were given."
    ),
    "chat:scripted:bad-output": Requirement(
        "house.md §7 row 9", "Bad output turns good after as many tries as the name says."
    ),
    "chat:scripted:deterministic": Requirement(
        "house.md §7 row 9", "A script says the same every time."
    ),
    "chat:scripted:faults": Requirement(
        "house.md §7 row 9", "Faults happen as named, as often and as late as the number says."
    ),
    "chat:scripted:length": Requirement("api-surface §22.28", "max_output_tokens cuts any script."),
    "chat:scripted:listed": Requirement(
        "house.md §7 row 9", "Every script is listed with a sentence and documented."
    ),
    "chat:scripted:samples": Requirement(
        "house.md §7 row 9", "What scripts write for a schema is valid against it."
    ),
    "chat:scripted:tools": Requirement(
        "house.md §7 row 9",
        "Scripts call offered tools, and tell results instead of calling again.",
    ),
    "chat:send:arguments": Requirement(
        "api-surface §22.16", "Arguments in the history are always the JSON text of an object."
    ),
    "chat:send:bytes": Requirement(
        "issue §3", "The bytes sent are the JSON of the body a turn is translated to."
    ),
    "chat:send:call-ids": Requirement(
        "issue §5", "Servers that want ids of nine characters get them, the same every time."
    ),
    "chat:send:content": Requirement(
        "api-surface §5.1",
        "One text is a string, images are parts, refusals are text, ids and phases never leave.",
    ),
    "chat:send:formats": Requirement(
        "api-surface §6.5",
        "A schema is nested the chat way, or said in words where the server takes none.",
    ),
    "chat:send:hints": Requirement(
        "api-surface §6.5", "Hints a server does not take are said in words or left out."
    ),
    "chat:send:names": Requirement(
        "api-surface §5.3", "Names longer than 64 are shortened and found again."
    ),
    "chat:send:nothing-else": Requirement(
        "clients.md, last paragraph",
        "Only what the caller set is sent, under chat completions' names.",
    ),
    "chat:send:parallel-calls": Requirement(
        "api-surface §22.5", "The text and all calls of a turn are one assistant message."
    ),
    "chat:send:reasoning": Requirement(
        "api-surface §22.17", "Reasoning goes back only inside its tool turn and never as content."
    ),
    "chat:send:remembered": Requirement(
        "issue §3",
        "A conversation that is remembered costs its new items only, forks included, and sends "
        "the same bytes.",
    ),
    "chat:send:results-in-order": Requirement(
        "api-surface §6.5",
        "Every call is answered right behind its message, wherever the results stood.",
    ),
    "chat:send:strict": Requirement(
        "clients.md, last paragraph", "A strict server accepts the body of every legal turn."
    ),
    "chat:send:system": Requirement(
        "api-surface §22.54",
        "Instructions come first; roles and places fit the server's templates.",
    ),
    "chat:send:tool-images": Requirement(
        "api-surface §6.5", "Images in results follow in a user message."
    ),
    "chat:send:tool-settings": Requirement(
        "api-surface §6.5",
        "Tool settings are sent only with tools and in the form the server knows.",
    ),
    "chat:send:tools": Requirement(
        "api-surface §22.11",
        "Functions are nested, freeform tools are wrapped, in offers and in the history.",
    ),
    "chat:suite:calls": Requirement(
        "api-surface §6.5",
        "A backend calls offered functions with JSON arguments and tells results.",
    ),
    "chat:suite:closing": Requirement("house.md §4.5", "Closing early leaves the backend usable."),
    "chat:suite:contract": Requirement(
        "house.md §4.5", "A turn has text, usage and exactly one end, and turns do not mix."
    ),
    "chat:suite:count": Requirement("stack.md §8", "A count is what the turn costs."),
    "chat:suite:custom": Requirement("api-surface §22.11", "A freeform tool gets raw text."),
    "chat:suite:live-or-not": Requirement("issue §3", "A backend says the same live or not."),
    "chat:suite:logprobs": Requirement("api-surface §5.1", "Log probabilities cover the text."),
    "chat:suite:missing": Requirement(
        "api-surface §1.4", "A model that does not exist is 404 model_not_found."
    ),
    "chat:suite:models": Requirement("api-surface §2.4", "Its models are listed and described."),
    "chat:suite:reasoning": Requirement("api-surface §22.17", "Reasoning is told apart from text."),
    "chat:suite:schema": Requirement("api-surface §6.5", "An answer keeps to a schema."),
    "chat:docs:backends": Requirement(
        "house.md §7 row 13", "The pages about backends and scripted models say what the code says."
    ),
}
