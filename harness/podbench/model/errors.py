"""All errors that podbench raises on purpose, in one tree.

Foreign exceptions are translated where their library is imported. `exit_code` is what the command
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
    """An error with an explanation; `advice` is the next step."""

    exit_code = 1

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.advice = advice


class ConfigError(PodbenchError):
    """An option, a configuration file or a value in it is invalid."""

    exit_code = 2


class PrerequisiteError(PodbenchError):
    """This machine or cluster lacks a prerequisite; `advice` says how to install it."""

    exit_code = 2


class LabError(PodbenchError):
    """The lab could not be built or changed."""


class ClusterError(PodbenchError):
    """The cluster's API is unreachable, refuses, or returns something unexpected."""


class InterferenceError(ClusterError):
    """Somebody else changed an object of this run; podbench did not overwrite it."""

    exit_code = 3


class TransportError(PodbenchError):
    """The broker or an agent is unreachable or did not answer in time."""


class ProtocolError(PodbenchError):
    """Bytes or a message that violate their protocol."""


class LocalProtocolError(ProtocolError):
    """The local side was about to violate the protocol."""


class RemoteProtocolError(ProtocolError):
    """The remote side violated the protocol."""


class ProbeError(PodbenchError):
    """A measurement failed."""


class AnswerError(ProbeError, RemoteProtocolError):
    """An agent's answer does not match its command: a failed measurement of that agent."""


class StoreError(PodbenchError):
    """The run directory cannot be written, or a file in it is damaged."""


class ReportError(PodbenchError):
    """The report cannot be rendered."""
