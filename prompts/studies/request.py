"""A study or a search as one request: the technique's settings and the study's together, for the API and the command line."""

from functools import cache
from typing import TypeVar

from pydantic import create_model

from prompts.refining.optimise import OptimiseSettings
from prompts.settings import Settings
from prompts.studies.base import Study
from prompts.techniques import technique
from prompts.techniques.refinement import RefinementSettings

S = TypeVar("S", bound=Settings)


@cache
def request_of(study: Study) -> type[Settings]:
    """The settings of a study's technique and its own; what both have, such as the seed, is one."""
    about = technique(study.technique)
    return create_model(
        f"{study.settings.__name__}Request", __base__=(study.settings, about.settings), __doc__=study.help
    )


class OptimiseRequest(OptimiseSettings, RefinementSettings):
    """A prompt, the rows it is judged on, and how it is searched for a better one."""
