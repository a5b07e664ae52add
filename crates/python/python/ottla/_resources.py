"""Settings of topics and brokers, as ``AdminClient`` takes and gives them."""

from __future__ import annotations

from enum import Enum
from functools import total_ordering
from typing import Dict, List, Optional, Union

from .errors import KafkaError


class ResourceType(Enum):
    """What has settings. Producing programs use topics and brokers."""

    UNKNOWN = 0
    ANY = 1
    TOPIC = 2
    GROUP = 3
    BROKER = 4
    TRANSACTIONAL_ID = 5

    def __lt__(self, other: "ResourceType") -> bool:
        return int(self.value) < int(other.value)


class ConfigSource(Enum):
    """Where a setting's value comes from."""

    UNKNOWN_CONFIG = 0
    DYNAMIC_TOPIC_CONFIG = 1
    DYNAMIC_BROKER_CONFIG = 2
    DYNAMIC_DEFAULT_BROKER_CONFIG = 3
    STATIC_BROKER_CONFIG = 4
    DEFAULT_CONFIG = 5
    GROUP_CONFIG = 8

    @classmethod
    def _missing_(cls, value: object) -> "ConfigSource":
        # A source that a later Kafka may add.
        return cls.UNKNOWN_CONFIG


class AlterConfigOpType(Enum):
    """What ``incremental_alter_configs`` does with a setting."""

    SET = 0
    DELETE = 1
    #: Adds to a list.
    APPEND = 2
    #: Takes out of a list.
    SUBTRACT = 3


class ConfigEntry:
    """A setting: as it is, or as it is to be changed."""

    def __init__(
        self,
        name: str,
        value: Optional[str],
        source: ConfigSource = ConfigSource.UNKNOWN_CONFIG,
        is_read_only: bool = False,
        is_default: bool = False,
        is_sensitive: bool = False,
        is_synonym: bool = False,
        synonyms: Optional[Dict[str, "ConfigEntry"]] = None,
        incremental_operation: Optional[AlterConfigOpType] = None,
    ) -> None:
        self.name = name
        self.value = value
        self.source = source
        self.is_read_only = bool(is_read_only)
        self.is_default = bool(is_default)
        self.is_sensitive = bool(is_sensitive)
        self.is_synonym = bool(is_synonym)
        self.synonyms: Dict[str, ConfigEntry] = synonyms or {}
        self.incremental_operation = incremental_operation

    def __repr__(self) -> str:
        return f"ConfigEntry({self})"

    def __str__(self) -> str:
        return f'{self.name}="{self.value}"'


@total_ordering
class ConfigResource:
    """A topic or a broker (by its id), and settings for it."""

    Type = ResourceType

    def __init__(
        self,
        restype: Union[ResourceType, str, int],
        name: str,
        set_config: Optional[Dict[str, str]] = None,
        described_configs: Optional[Dict[str, ConfigEntry]] = None,
        error: Optional[KafkaError] = None,
        incremental_configs: Optional[List[ConfigEntry]] = None,
    ) -> None:
        if name is None:
            raise ValueError("Expected resource name to be a string")
        if isinstance(restype, str):
            try:
                restype = ResourceType[restype.upper()]
            except KeyError:
                raise ValueError(
                    f'Unknown resource type "{restype}": should be a ConfigResource.Type'
                ) from None
        self.restype = ResourceType(restype)
        self.restype_int = int(self.restype.value)
        self.name = name
        self.set_config_dict: Dict[str, str] = dict(set_config or {})
        self.incremental_configs = list(incremental_configs or [])
        self.configs = described_configs
        self.error = error

    def set_config(self, name: str, value: str, overwrite: bool = True) -> None:
        """Sets a value for ``alter_configs``."""
        if overwrite or name not in self.set_config_dict:
            self.set_config_dict[name] = value

    def add_incremental_config(self, config_entry: ConfigEntry) -> None:
        """Adds a change for ``incremental_alter_configs``."""
        self.incremental_configs.append(config_entry)

    def __repr__(self) -> str:
        error = "" if self.error is None else f",{self.error!r}"
        return f"ConfigResource({self.restype},{self.name}{error})"

    def __hash__(self) -> int:
        return hash((self.restype, self.name))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConfigResource):
            return NotImplemented
        return (self.restype, self.name) == (other.restype, other.name)

    def __lt__(self, other: "ConfigResource") -> bool:
        return (self.restype.value, self.name) < (other.restype.value, other.name)

    def __len__(self) -> int:
        return len(self.set_config_dict)
