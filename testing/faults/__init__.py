"""A seeded campaign of faults against the whole stack (`make faults`).

Start with plan.py (what is drawn from the seed), nemesis.py (how a fault is done) and checks.py
(what must hold after each round). docs/reliability.md reports a campaign.
"""
