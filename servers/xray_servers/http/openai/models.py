"""What chats here: ``/v1/models``."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from xray_servers.http.access import caller
from xray_servers.http.callers import SCREEN, Caller
from xray_servers.http.documented import errors
from xray_servers.http.errors import Refused
from xray_servers.http.openai.conversation import ChatModel
from xray_servers.http.service import Service

Screening = Annotated[Caller, Depends(caller(SCREEN))]
"""A caller who may ask about scans."""


class ModelCard(BaseModel):
    """A model as clients see it in a list."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "xray-agent-tools"


class ModelList(BaseModel):
    """Every model."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


def model_named(service: Service, name: str) -> ChatModel:
    """The model that a client names.

    Raises:
        Refused: there is no such model.
    """
    model = service.models.get(name)
    if model is None:
        raise Refused(
            404,
            "model_not_found",
            f"there is no model {name[:80]!r}",
            hint="the models are " + ", ".join(service.models),
            param="model",
        )
    return model


def router(service: Service) -> APIRouter:
    """The routes that list models."""
    routes = APIRouter(prefix="/v1", tags=["openai"])

    @routes.get("/models", summary="Every model", responses=errors(401, 403, 429))
    async def models(_: Screening) -> ModelList:
        return ModelList(data=[_card(model) for model in service.models.values()])

    @routes.get("/models/{model_id:path}", summary="One model", responses=errors(401, 403, 404, 429))
    async def model(model_id: str, _: Screening) -> ModelCard:
        return _card(model_named(service, model_id))

    return routes


def _card(model: ChatModel) -> ModelCard:
    return ModelCard(id=model.model_id, created=model.created)
