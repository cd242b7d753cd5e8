"""What the Azure flavour promises."""

from __future__ import annotations

from tests.requirements.base import Requirement

REQUIREMENTS = {
    "azure:paths:rewritten": Requirement(
        source="api-surface §1.1, §22.37",
        behaviour="Every URL an Azure or a v1 client builds reaches the route it means.",
    ),
    "azure:paths:unknown": Requirement(
        source="api-surface §16.5",
        behaviour="A path, version or method of Azure's that is not served is 404 'Resource not "
        "found' in Azure's error body.",
    ),
    "azure:version:required": Requirement(
        source="api-surface §1.1, issue §4",
        behaviour="api-version is required on dated paths and optional under /openai/v1/.",
    ),
    "azure:version:too-old": Requirement(
        source="issue §4",
        behaviour="Responses are refused with 400 for an api-version older than "
        "2025-03-01-preview.",
    ),
    "azure:auth:either-header": Requirement(
        source="api-surface §1.1",
        behaviour="api-key and Authorization: Bearer both work on every route.",
    ),
    "azure:errors:gateway": Requirement(
        source="api-surface §16.5",
        behaviour="Errors of the gateway have Azure's body, all others the API's envelope.",
    ),
    "azure:headers:present": Requirement(
        source="api-surface §1.3",
        behaviour="Every answer carries apim-request-id and x-ms-region, a 429 retry-after-ms.",
    ),
    "azure:response:content-filters": Requirement(
        source="api-surface §16.6",
        behaviour="Response objects on Azure's routes have content_filters.",
    ),
    "azure:deployments:mapped": Requirement(
        source="issue §4",
        behaviour="A deployment's name, in the body or the path, selects the model it stands for.",
    ),
    "azure:body:limits": Requirement(
        source="api-surface §1.4",
        behaviour="A body read here has the limits and the errors of any other body.",
    ),
    "azure:emulation:features": Requirement(
        source="issue §4, api-surface §16.4",
        behaviour="Emulation refuses what an api-version lacked with 400, code and param.",
    ),
    "azure:emulation:models": Requirement(
        source="issue §4, api-surface §16.3",
        behaviour="Emulation refuses models, versions and regions that were not offered.",
    ),
    "azure:emulation:off": Requirement(
        source="issue §4",
        behaviour="Without emulation everything works under every api-version.",
    ),
    "azure:clients:page-samples": Requirement(
        source="issue §4 (Azure's page of April 2025)",
        behaviour="The page's samples run unchanged with AzureOpenAI.",
    ),
    "azure:clients:v1": Requirement(
        source="api-surface §1.1",
        behaviour="The plain OpenAI client works on /openai/v1/.",
    ),
}
