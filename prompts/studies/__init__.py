"""Studies: the same rows asked in several ways, and what each way is worth. A study is one file and one name in STUDIES."""

from prompts.studies import grid, ledger, risk, versions
from prompts.studies.base import Study

STUDIES: tuple[Study, ...] = (versions.STUDY, ledger.STUDY, grid.STUDY, risk.STUDY)


def study_of(technique: str) -> Study | None:
    """The study of a technique, where it has one."""
    return next((found for found in STUDIES if found.technique == technique), None)


__all__ = ["STUDIES", "Study", "study_of"]
