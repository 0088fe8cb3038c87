"""Data files of documents: CSV, XML, JSON and XLSX (`spec/v1.md §8.4-8.6`), written package by package."""
