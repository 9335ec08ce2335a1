"""Import all that a worker process needs, once for all of them."""

import gc
import importlib

gc.disable()  # what is made now stays: to look through it again and again takes a quarter of the time
importlib.import_module("awe.processing.tasks").tasks()
gc.freeze()
gc.enable()
