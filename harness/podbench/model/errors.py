"""Every error podbench raises on purpose, in one tree.

Each foreign exception is translated where its library is imported. `exit_code` is what the command
line returns (docs/contract: 1 failed, 2 usage, configuration or missing prerequisite).

    PodbenchError                 exit 1
    ├── ConfigError               exit 2   an option, a file or a value the user gave
    ├── PrerequisiteError         exit 2   something this machine or cluster lacks
    ├── LabError                  exit 1   namespaces, links, routes
    ├── ClusterError              exit 1   the API server, or what it keeps
    │   └── InterferenceError     exit 3   somebody else changed what this run had made
    ├── TransportError            exit 1   the broker, a lost agent, a late answer
    ├── ProtocolError             exit 1
    │   ├── LocalProtocolError             we were about to send something illegal
    │   └── RemoteProtocolError            the peer sent something illegal
    ├── ProbeError                exit 1   a measurement could not be taken
    │   └── AnswerError                    an agent's malformed answer (a RemoteProtocolError too)
    ├── StoreError                exit 1   disk full, damaged file
    └── ReportError               exit 1
"""


class PodbenchError(Exception):
    """Something podbench can explain; `advice` says what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.advice = advice


class ConfigError(PodbenchError):
    """An option, a configuration file or a value in it cannot be used."""

    exit_code = 2


class PrerequisiteError(PodbenchError):
    """This machine or cluster lacks something; `advice` says how to get it."""

    exit_code = 2


class LabError(PodbenchError):
    """The lab could not be built or changed."""


class ClusterError(PodbenchError):
    """The cluster's API cannot be reached, refuses, or holds something unexpected."""


class InterferenceError(ClusterError):
    """Somebody else changed what this run had made; it was not written over."""

    exit_code = 3


class TransportError(PodbenchError):
    """The broker or an agent cannot be reached, or did not answer in time."""


class ProtocolError(PodbenchError):
    """Bytes or a message that break their protocol."""


class LocalProtocolError(ProtocolError):
    """This side was about to send something illegal."""


class RemoteProtocolError(ProtocolError):
    """The other side sent something illegal."""


class ProbeError(PodbenchError):
    """A measurement could not be taken."""


class AnswerError(ProbeError, RemoteProtocolError):
    """An agent's answer is not one to what it was asked: that agent's failed measurement."""


class StoreError(PodbenchError):
    """The run directory cannot be written, or a file in it is damaged."""


class ReportError(PodbenchError):
    """The report cannot be rendered."""
