"""The agent: its loop on paper, its inputs and what models cost."""
