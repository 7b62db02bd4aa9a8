"""Tests of applications for normalisation and of appeals."""
