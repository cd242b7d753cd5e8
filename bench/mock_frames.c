/* See mock_frames.h. Ids hold NUMBER_PLACE; each SSE event is one HTTP chunk, as the common Python model servers send it. */
#include <stdio.h>
#include <string.h>

#include "mock_frames.h"

const char *const REPLY_TEXT =
    "In the old practice two half-choirs stand facing each other across the nave. One sings a verse, the "
    "other answers it, and neither has to know how the other breathes: it is enough that the text and its order are "
    "fixed.\\n\\nA front between two programming interfaces is much the same. What one side asks as a \\\"choir\\\" "
    "is put to the other side in the words it knows, and the answer comes back in the form in which it was expected. "
    "The listener hears one piece.\\n\\nWhat must not happen is that a verse gets lost, is sung twice, or waits for a "
    "conductor who has gone home.";

/* `event` is "" where the dialect has no event lines. */
static void append_frame(struct bytes *b, const char *event, const struct bytes *json)
{
    size_t event_size = *event ? strlen("event: \n") + strlen(event) : 0;
    append_print(b, "%zx\r\n", event_size + strlen("data: \n\n") + json->size);
    if (*event)
        append_print(b, "event: %s\n", event);
    append_text(b, "data: ");
    append(b, json->data, json->size);
    append_text(b, "\n\n\r\n");
}

static struct bytes *scratch(void)
{
    static struct bytes json;
    json.size = 0;
    return &json;
}

/* ---- chat completions ---- */

void append_chat_json(struct bytes *b)
{
    append_print(b,
        "{\"id\":\"chatcmpl-" NUMBER_PLACE "\",\"object\":\"chat.completion\",\"created\":1750000000,"
        "\"model\":\"mock\",\"system_fingerprint\":\"fp_mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"%s\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":"
        "{\"prompt_tokens\":" TOKENS_PLACE("00000") ",\"completion_tokens\":148,\"total_tokens\":" TOKENS_PLACE("00148") ",\"prompt_tokens_details\":{\"cached_tokens\":0},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":0}}}", REPLY_TEXT);
}

static void append_chat_chunk(struct bytes *b, const char *choices, const char *usage)
{
    struct bytes *json = scratch();
    append_print(json,
        "{\"id\":\"chatcmpl-" NUMBER_PLACE "\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,"
        "\"model\":\"mock\",\"system_fingerprint\":\"fp_mock\",\"choices\":[%s],\"usage\":%s}", choices, usage);
    append_frame(b, "", json);
}

void append_chat_first(struct bytes *b)
{
    append_chat_chunk(b, "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
                         "\"finish_reason\":null}", "null");
}

void append_chat_text(struct bytes *b, const char *text)
{
    char choice[256];
    snprintf(choice, sizeof choice,
             "{\"index\":0,\"delta\":{\"content\":\"%s\"},\"logprobs\":null,\"finish_reason\":null}", text);
    append_chat_chunk(b, choice, "null");
}

void append_chat_last(struct bytes *b, int chunks)
{
    char usage[128];
    snprintf(usage, sizeof usage, "{\"prompt_tokens\":%s,\"completion_tokens\":%d,\"total_tokens\":" TOKENS_MARK "%05d}",
             TOKENS_PLACE("00000"), chunks, chunks);
    append_chat_chunk(b, "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}", "null");
    append_chat_chunk(b, "", usage);
    append_text(b, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
}

/* ---- Responses ---- */

enum { EVENTS_BEFORE_TEXT = 4 };

static void append_part(struct bytes *b, const void *text, size_t size)
{
    append_text(b, "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"");
    append(b, text, size);
    append_text(b, "\"}");
}

static void append_message(struct bytes *b, const char *status, const void *text, size_t size)
{
    append_print(b, "{\"id\":\"msg_" NUMBER_PLACE "\",\"type\":\"message\",\"status\":\"%s\",\"role\":\"assistant\",\"content\":[",
                 status);
    if (size)
        append_part(b, text, size);
    append_text(b, "]}");
}

/* The whole response; without text it is in progress. */
static void append_response(struct bytes *b, const void *text, size_t size, int tokens)
{
    append_print(b,
        "{\"id\":\"resp_" NUMBER_PLACE "\",\"object\":\"response\",\"created_at\":1750000000,\"status\":\"%s\","
        "\"completed_at\":%s,\"background\":false,\"error\":null,\"incomplete_details\":null,\"instructions\":null,"
        "\"max_output_tokens\":null,\"max_tool_calls\":null,\"model\":\"mock\",\"output\":[",
        size ? "completed" : "in_progress", size ? "1750000001" : "null");
    if (size)
        append_message(b, "completed", text, size);
    append_text(b,
        "],\"parallel_tool_calls\":true,\"previous_response_id\":null,\"prompt_cache_key\":null,"
        "\"reasoning\":{\"effort\":null,\"summary\":null},\"safety_identifier\":null,\"service_tier\":\"default\","
        "\"store\":false,\"temperature\":1.0,\"text\":{\"format\":{\"type\":\"text\"},\"verbosity\":\"medium\"},"
        "\"tool_choice\":\"auto\",\"tools\":[],\"top_logprobs\":0,\"top_p\":1.0,\"truncation\":\"disabled\",\"usage\":");
    if (size)
        append_print(b,
            "{\"input_tokens\":" TOKENS_PLACE("00000") ",\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":%d,"
            "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":" TOKENS_MARK "%05d}", tokens, tokens);
    else
        append_text(b, "null");
    append_text(b, ",\"user\":null,\"metadata\":{}}");
}

void append_responses_json(struct bytes *b) { append_response(b, REPLY_TEXT, strlen(REPLY_TEXT), 148); }

/* The start of an event's JSON, up to its own fields. */
static struct bytes *event_json(const char *type, int sequence_number)
{
    struct bytes *json = scratch();
    append_print(json, "{\"type\":\"%s\",\"sequence_number\":%d,", type, sequence_number);
    return json;
}

static void append_response_event(struct bytes *b, const char *type, int number, const struct bytes *said, int chunks)
{
    struct bytes *json = event_json(type, number);
    append_text(json, "\"response\":");
    append_response(json, said ? said->data : "", said ? said->size : 0, chunks);
    append_text(json, "}");
    append_frame(b, type, json);
}

static void append_item_event(struct bytes *b, const char *type, int number, const struct bytes *said)
{
    struct bytes *json = event_json(type, number);
    append_text(json, "\"output_index\":0,\"item\":");
    append_message(json, said ? "completed" : "in_progress", said ? said->data : "", said ? said->size : 0);
    append_text(json, "}");
    append_frame(b, type, json);
}

static const char AT_PART[] = "\"item_id\":\"msg_" NUMBER_PLACE "\",\"output_index\":0,\"content_index\":0,";

static void append_part_event(struct bytes *b, const char *type, int number, const struct bytes *said)
{
    struct bytes *json = event_json(type, number);
    append_text(json, AT_PART);
    append_text(json, "\"part\":");
    append_part(json, said ? said->data : "", said ? said->size : 0);
    append_text(json, "}");
    append_frame(b, type, json);
}

void append_responses_first(struct bytes *b)
{
    append_response_event(b, "response.created", 0, NULL, 0);
    append_response_event(b, "response.in_progress", 1, NULL, 0);
    append_item_event(b, "response.output_item.added", 2, NULL);
    append_part_event(b, "response.content_part.added", 3, NULL);
}

void append_responses_text(struct bytes *b, const char *text, int index)
{
    static const char type[] = "response.output_text.delta";
    struct bytes *json = event_json(type, EVENTS_BEFORE_TEXT + index);
    append_text(json, AT_PART);
    append_print(json, "\"delta\":\"%s\",\"logprobs\":[]}", text);
    append_frame(b, type, json);
}

void append_responses_last(struct bytes *b, int chunks, const struct bytes *said)
{
    static const char type[] = "response.output_text.done";
    int number = EVENTS_BEFORE_TEXT + chunks;
    struct bytes *json = event_json(type, number++);
    append_text(json, AT_PART);
    append_text(json, "\"text\":\"");
    append(json, said->data, said->size);
    append_text(json, "\",\"logprobs\":[]}");
    append_frame(b, type, json);
    append_part_event(b, "response.content_part.done", number++, said);
    append_item_event(b, "response.output_item.done", number++, said);
    append_response_event(b, "response.completed", number, said, chunks);
    append_text(b, "0\r\n\r\n");
}
