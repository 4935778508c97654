"""The parts of results/report.html: each module makes what one section of the page shows.

In: plan, ledger and quality tables in ``results/``, STAR's statistics in ``units/solo/``. Out: numbers, texts and
charts for ``scripts/harvest/templates/report.html``. Open :mod:`~scripts.harvest.report_page.findings` first: what
needs a look.
"""
