"""How a service's process ends by its own decision: its exit codes (docs/security.md). A supervisor reads them."""

EXIT_GAVE_UP = 70
EXIT_NEEDS_PERSON = 77
EXIT_INVALID_CONFIGURATION = 78
