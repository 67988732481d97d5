"""Whether what lies in a folder is whole and consistent: one line for each problem."""
