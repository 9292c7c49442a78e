"""Proposals for the configuration file, which the dashboard reads and never writes."""

import asyncio

from crypto_checkout.http.dashboard.frame.request import DashboardRequest
from crypto_checkout.services.reporting.config_edit import Edit, Proposal, propose


async def proposal(request: DashboardRequest, edit: Edit) -> Proposal:
    """Return the lines of an edit, and what they change in the file as it is now."""
    return await asyncio.to_thread(propose, request.services.settings.file, edit)
