"""The simulated chain's controls: payments, scenarios, blocks, reorgs and outages on request, and its clean-up.

The chain itself is `chain.sandbox`, and its watcher and judge are those of real chains. To add a scenario, add it to
`core.sandbox.Scenario` and its steps to `scenarios`; it may touch its own session only.
"""
