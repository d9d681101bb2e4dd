"""The prompt tabs. This folder, tuning/ui and app.py alone import gradio."""
