"""`dataset.yaml`: which files of a folder are clean, noisy and test clips, and where their labels are."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from features.csv_table import read_text
from features.errors import DataError, InputError
from features.plain_yaml import YAMLError, dump_plain, load_plain, shown
from features.settings import Settings
from features.words import nearest, printable, short

__all__ = ["FILE_NAME", "Dataset", "LabelNames", "Source"]

FILE_NAME = "dataset.yaml"
MAX_BYTES = 1_000_000
_COLUMN = re.compile(r"\{([^{}]*)\}")


def _inside(path: str) -> str:
    plain = PurePosixPath(path)
    if not path or plain.is_absolute() or ".." in plain.parts or "\0" in path or str(plain) != path:
        raise ValueError("must be a plain path inside the dataset's folder, such as audio or meta/labels.csv")
    return path


def _listed(value: Any) -> Any:
    """A single value stands for a list of one."""
    return value if value is None or isinstance(value, list | tuple) else [value]


Column = Annotated[str, Field(min_length=1)]
Cells = Annotated[tuple[str, ...], Field(min_length=1, strict=False), BeforeValidator(_listed)]


class LabelNames(Settings):
    """A CSV that translates labels, as AudioSet's identifiers into names."""

    csv: str = Field(description="CSV file")
    key: Column = Field(description="column with the labels as the clips have them")
    name: Column = Field(description="column with the names of the classes")

    @field_validator("csv")
    @classmethod
    def _is_inside(cls, path: str) -> str:
        return _inside(path)


class Source(Settings):
    """Clips and their labels: the rows of a CSV, or a folder with one folder per class."""

    audio: str = Field(".", description="folder that file names are relative to; '.' is the dataset's folder")
    csv: str | None = Field(
        None,
        description="CSV or JSON Lines file with one row per clip; without it, every audio file below `audio` is a "
        "clip, and the name of the folder that it lies in is its label",
    )
    separator: str = Field(",", min_length=1, max_length=1, description="character between two columns of the CSV")
    file: str | None = Field(
        None, description="file of a clip; {COLUMN} stands for the cell of its row, as in 'fold{fold}/{name}.wav'"
    )
    labels: str | Annotated[tuple[str, ...], Field(min_length=2, strict=False)] | None = Field(
        None, description="column of the labels, or a list of columns, one per class, with 1 where a clip has it"
    )
    label_separator: str | None = Field(
        None, min_length=1, max_length=8, description="what separates several labels in a cell; default: a cell is one"
    )
    where: dict[str, Cells] = Field(
        default_factory=dict, description="column -> value or values; other rows are left out"
    )
    group: Column | None = Field(
        None, description="column of what is never split between folds, such as the recording or the speaker"
    )
    fold: Column | None = Field(None, description="column of the official folds")
    missing: Literal["refuse", "skip"] = Field(
        "refuse", description="what to do with rows whose file is not there; skip: leave them out and count them"
    )

    @field_validator("audio", "csv")
    @classmethod
    def _are_inside(cls, path: str | None) -> str | None:
        return path if path is None else _inside(path)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.csv is not None:
            if self.file is None:
                raise ValueError("file is missing: say how a row of the CSV names its clip, such as file: '{fname}'")
            if not self.file_columns:
                raise ValueError(
                    f"file is {shown(self.file)}, the same for every row: name a column, as in '{{fname}}'"
                )
        else:
            rows = ("file", "labels", "label_separator", "group", "fold")
            if given := [field for field in rows if getattr(self, field) is not None]:
                raise ValueError(f"{given[0]} needs a csv: add it, or remove {given[0]}")
            if self.where:
                raise ValueError("where needs a csv: add it, or remove where")
        return self

    @property
    def file_columns(self) -> tuple[str, ...]:
        """The columns of which the file name is made."""
        return tuple(_COLUMN.findall(self.file or ""))

    def file_of(self, row: Mapping[str, str]) -> str:
        """The path of a row's clip, relative to `audio`."""
        # Lists made on Windows, or by `find .`, name the same files.
        return _COLUMN.sub(lambda match: row[match[1]], self.file or "").replace("\\", "/").removeprefix("./")


Sources = Annotated[tuple[Source, ...], Field(strict=False, min_length=1), BeforeValidator(_listed)]


class Dataset(Settings):
    """The content of a dataset.yaml."""

    about: str = Field("", description="what the dataset is; changes nothing")
    classes: tuple[str, ...] | None = Field(
        None, strict=False, description="names of the classes in order; default: the sorted labels of the clean clips"
    )
    label_names: LabelNames | None = Field(None, description="a CSV that translates labels into names")
    curated: Sources = Field(description="clips with clean labels")
    noisy: Sources | None = Field(None, description="clips whose labels may be wrong")
    test: Sources | None = Field(None, description="clips that are predicted, and never trained on")

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        for subset in ("curated", "noisy"):
            for index, source in enumerate(getattr(self, subset) or ()):
                if source.csv is not None and source.labels is None:
                    raise ValueError(f"{subset}.{index}.labels is missing: name the column of the labels")
        return self

    @property
    def parts(self) -> dict[str, tuple[Source, ...]]:
        """Sources by subset; subsets that the dataset lacks are left out."""
        every = {"curated": self.curated, "noisy": self.noisy, "test": self.test}
        return {subset: sources for subset, sources in every.items() if sources is not None}

    @classmethod
    def read(cls, path: Path) -> "Dataset":
        """Read a dataset.yaml.

        Raises:
            DataError: it is not YAML, or a field is unknown or wrong; one sentence names it.
        """
        content = read_text(path)
        if len(content) > MAX_BYTES:
            raise DataError([f"{path} has {len(content)} bytes; a dataset.yaml has at most {MAX_BYTES:,}"])
        try:
            raw = load_plain(content.decode("utf-8-sig"))
        except YAMLError as error:
            words = " ".join(str(error).split()).replace('in "<unicode string>", ', "at ")
            raise DataError([f"{path} is not YAML: {printable(words)[:400]}"]) from None
        except InputError as error:
            raise DataError([f"{path}, {error}"]) from None
        if not isinstance(raw, dict):
            raise DataError([f"{path} must hold a mapping with 'curated', not {shown(raw)}"])
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise DataError([f"{path}: {_sentence(error)}"]) from None

    def as_yaml(self) -> str:
        """The text of a dataset.yaml that reads as this description; defaults are left out."""
        raw = self.model_dump(mode="json", exclude_defaults=True)
        for subset in self.parts:
            sources = raw[subset] or [{}]
            for source in sources:
                if "csv" not in source:
                    source.setdefault("audio", ".")
                for column, cells in source.get("where", {}).items():
                    source["where"][column] = cells[0] if len(cells) == 1 else cells
            raw[subset] = sources[0] if len(sources) == 1 else sources
        return dump_plain(raw)


def _sentence(error: ValidationError) -> str:
    """The first problem of a pydantic error, with its field."""
    first = error.errors(include_url=False)[0]
    # A subset is a list of sources, but is mostly written as one.
    path = [str(part) for part in first["loc"] if part not in ("str", "tuple[str, ...]", "function-before[_listed()]")]
    field = short(".".join(path))
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{field} is missing"
    if first["type"] == "extra_forbidden":
        known = [*Dataset.model_fields, *Source.model_fields, *LabelNames.model_fields]
        near = nearest(path[-1], known)
        return f"{field} is not a field here" + (f"; did you mean '{near}'?" if near and near != path[-1] else "")
    if first["type"] == "value_error":
        return printable(f"{field}: {message}" if field else message)[:600]
    return f"{field} is {shown(first['input'])}: {short(message[0].lower() + message[1:], 300)}"
