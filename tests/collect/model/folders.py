"""Copies of model folders, to change something in."""

import shutil


def copy(folder, to):

    return str(shutil.copytree(folder, to))
