"""Everything the node raises on purpose, sorted by what the caller does next.

NodeError
├── ConfigError               the node must not start
├── StoreError                the peer is answered with a Failure status and tries again
├── UnusableSeriesError       the series will never be recognised; it is still delivered
├── CertificateError          a derived object is wrong; it must not leave the node
└── DeliveryError
    ├── TransientDeliveryError    try again later
    └── PermanentDeliveryError    trying again will not help: park with the reason
"""


class NodeError(Exception):
    """Anything the node raises on purpose."""


class ConfigError(NodeError):
    """The settings are wrong; the node must not start."""


class StoreError(NodeError):
    """An instance could not be made durable; the peer must not be told Success."""


class UnusableSeriesError(NodeError):
    """The series cannot be read as a volume, now or ever; do not retry."""


class CertificateError(NodeError):
    """A derived object does not agree with what it was made from; it must not be sent."""


class DeliveryError(NodeError):
    """A destination did not take an instance."""


class TransientDeliveryError(DeliveryError):
    """The destination may take the instance later."""


class PermanentDeliveryError(DeliveryError):
    """The destination refused the instance for good."""
