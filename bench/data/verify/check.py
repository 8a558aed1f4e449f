"""Everything that is verified, in one go."""

from pathlib import Path

from bench.data.layouts.base import Layout
from bench.data.on_disk.agreement import require_agreement
from bench.data.on_disk.examine import examine
from bench.data.verify import counts, duplicates, pictures
from bench.data.verify.manifest import (
    Differences,
    compare,
    label_digests,
    manifest_of,
    read_manifest,
)
from bench.data.verify.report import Finding, Verification, many
from bench.progress import Reporter


def verify(layout: Layout, reporter: Reporter, against: Path | None = None) -> Verification:
    """Look at a data set as a whole; opens every picture that was not opened before.

    Args:
        layout: Which.
        reporter: Shows progress.
        against: An earlier manifest to compare with.

    Raises:
        UserError: If the folder is not the layout's, the manifest is none, or an agreement is
            needed that was not confirmed.
    """
    earlier = None if against is None else read_manifest(against)
    listing = layout.listing()
    require_agreement(layout, listing)
    facts = examine(layout, listing, reporter)
    manifest = manifest_of(listing, facts)
    drawn = listing.drawn(layout.root)
    found = counts.count(listing, layout.published())
    findings = [
        *counts.finding(found, layout.published_total(), drawn),
        *pictures.findings(listing, facts),
        *pictures.other_sizes(listing, facts, layout.published_size()),
        *duplicates.findings(listing, facts),
    ]
    if earlier is not None:
        findings += _compared(compare(manifest, earlier), str(against))
    return Verification(
        title=layout.title,
        kind=layout.kind,
        root=str(layout.root),
        base=str(listing.base),
        protocol=layout.protocol,
        drawn=drawn,
        clips=layout.clips,
        classes=listing.classes,
        counts=found,
        sizes=pictures.sizes(facts),
        label_files=label_digests(listing.base, listing.label_files),
        findings=tuple(sorted(findings, key=lambda finding: finding.level, reverse=True)),
        manifest=manifest,
    )


def _compared(found: Differences, against: str) -> list[Finding]:
    findings = []
    if found.changed:
        text = f"{many(len(found.changed), 'sample')} changed since {against}"
        items = [{"id": name, "differs": list(what)} for name, what in found.changed.items()]
        findings.append(Finding("warning", "changed", text, items))
    for kind, names, words in (
        ("gone", found.gone, f"of {against} not here"),
        ("new", found.new, f"not in {against}"),
    ):
        if names:
            items = [{"id": name} for name in names]
            findings.append(
                Finding("warning", kind, f"{many(len(names), 'sample')} {words}", items)
            )
    return findings or [Finding("note", "same", f"the same copy as in {against}")]
