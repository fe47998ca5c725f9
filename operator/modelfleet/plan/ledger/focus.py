"""The ledger as FOCUS rows (FinOps Open Cost and Usage Specification 1.2, with the columns of 1.3
for costs that are split): one for each line of each day.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal

from modelfleet.plan.ledger.report import name_of
from modelfleet.plan.ledger.sums import Amount, Line, Lines
from modelfleet.plan.ledger.units import GPU, GRAINS, HOUR, MILLION, Micros, split
from modelfleet.plan.ledger.values import Use

PRICING = {"spot": "Dynamic", "reserved": "Committed", "on-demand": "Standard"}
"""What was bought is none of these."""

RATIO = 10**10
"""Shares are told to ten digits, and sum to 1."""

COLUMNS = (
    "AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName",
    "BillingAccountType", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "CapacityReservationId", "CapacityReservationStatus", "ChargeCategory", "ChargeClass",
    "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "CommitmentDiscountCategory", "CommitmentDiscountId", "CommitmentDiscountName",
    "CommitmentDiscountQuantity", "CommitmentDiscountStatus", "CommitmentDiscountType",
    "CommitmentDiscountUnit", "ConsumedQuantity", "ConsumedUnit", "ContractedCost",
    "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost",
    "ListUnitPrice", "PricingCategory", "PricingCurrency", "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "PricingQuantity",
    "PricingUnit", "ProviderName", "PublisherName", "RegionId", "RegionName", "ResourceId",
    "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "ServiceSubcategory",
    "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName",
    "SubAccountType", "Tags",
    "AllocatedMethodId", "AllocatedMethodDetails", "AllocatedResourceId",
    "AllocatedResourceName", "AllocatedTags",
    "x_Use", "x_Canary", "x_Priced", "x_EstimatedCost",
)  # fmt: skip
"""All of 1.2, those of 1.3 for costs that are split, and ours. Empty: not known, or not so."""


def focus_rows(lines: Lines, cluster: str) -> list[dict[str, str]]:
    """Return a row for each line. Their costs sum to the lines', to the micro-dollar."""
    ordered = sorted(lines.items())
    micros = split(
        sum(amount.cost for _, amount in ordered) // GRAINS, [a.cost for _, a in ordered]
    )
    ratios = _ratios(ordered)
    return [
        _row(line, amount, cost, ratios[line], cluster)
        for (line, amount), cost in zip(ordered, micros, strict=True)
    ]


def _ratios(lines: Iterable[tuple[Line, Amount]]) -> dict[Line, int]:
    """Return each line's share of what its pool cost that day."""
    origins: dict[tuple[str, str, str], dict[Line, int]] = {}
    for line, amount in lines:
        origins.setdefault((line.day, line.pool, line.capacity_type), {})[line] = amount.cost
    return {
        line: share
        for origin in origins.values()
        for line, share in zip(origin, _shares(list(origin.values())), strict=True)
    }


def _shares(costs: list[int]) -> list[int]:
    return split(RATIO, costs) if any(costs) else [0] * len(costs)


def _row(line: Line, amount: Amount, cost: Micros, ratio: int, cluster: str) -> dict[str, str]:
    dollars = f"{Decimal(cost) / MILLION:.6f}"
    hours = f"{Decimal(amount.gpu_time) / GPU / HOUR:.6f}"
    account = line.account
    start, end = date.fromisoformat(line.day), date.fromisoformat(line.day) + timedelta(days=1)
    owned = account.kind in ("model", "workload")
    return dict.fromkeys(COLUMNS, "") | {
        "BilledCost": dollars,
        "EffectiveCost": dollars,
        "ListCost": dollars,
        "ContractedCost": dollars,
        "BillingAccountId": cluster,
        "BillingAccountName": cluster,
        "BillingCurrency": "USD",
        "PricingCurrency": "USD",
        "BillingPeriodStart": _midnight(start.replace(day=1)),
        "BillingPeriodEnd": _midnight((start.replace(day=1) + timedelta(days=32)).replace(day=1)),
        "ChargePeriodStart": _midnight(start),
        "ChargePeriodEnd": _midnight(end),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{name_of(account)} in pool {line.pool or 'none'}: {line.use}",
        "ChargeFrequency": "Usage-Based",
        "ConsumedQuantity": hours,
        "ConsumedUnit": "GPU-Hours",
        "PricingQuantity": hours,
        "PricingUnit": "GPU-Hours",
        "PricingCategory": PRICING.get(line.capacity_type, "Other"),
        "ProviderName": "modelfleet",
        "PublisherName": "modelfleet",
        "InvoiceIssuerName": "modelfleet",
        "ResourceId": name_of(account),
        "ResourceName": account.name or name_of(account),
        "ResourceType": account.kind,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "Model serving",
        "ServiceSubcategory": "Generative AI",
        "SubAccountId": account.team if owned else account.kind,
        "SubAccountName": account.team if owned else account.kind,
        "Tags": _json({"namespace": account.namespace, "team": account.team} if owned else {}),
        "AllocatedMethodId": line.policy,
        "AllocatedMethodDetails": _details(ratio, hours),
        "AllocatedResourceId": line.pool,
        "AllocatedResourceName": line.pool,
        "AllocatedTags": _json({"capacity-type": line.capacity_type}),
        "x_Use": str(line.use if line.use is not Use.SERVING else Use.UNMEASURED),
        "x_Canary": str(line.canary).lower(),
        "x_Priced": str(not amount.unpriced).lower(),
        "x_EstimatedCost": f"{Decimal(amount.estimated // GRAINS) / MILLION:.6f}",
    }


def _details(ratio: int, hours: str) -> str:
    share = float(Decimal(ratio) / RATIO)
    element = {"AllocatedRatio": share, "UsageUnit": "GPU-Hours", "UsageQuantity": float(hours)}
    return _json({"Elements": [element]})


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"
