"""What a person or a program is shown: plain values, a fixed number of queries, in pages.

Views read every table and write none. How they look is the business of `node.cli`.
"""
