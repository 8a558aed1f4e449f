"""Objectives, batches and the resumable trainer of one stage."""
