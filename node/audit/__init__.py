"""What happened here: told to an audit collector, and proved from the ledger."""
