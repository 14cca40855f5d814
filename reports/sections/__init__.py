"""The sections of the validation report. Each makes one `Section` from the bound results."""
