defmodule Ram.Error do
  @moduledoc """
  What `Ram` could not do.

  Operations on keys raise it; operations on the cluster return `{:error, error}`, and their
  variants with `!` raise it.

    * `reason`: an atom or a tuple, as `:ram` raises or returns it: `t::ram_error.failure/0` and
      `t::ram_error.cluster_error/0`.
    * `outcome`: whether a write that failed so may have happened. `:not_applied`: it did not, and
      never will. `:unknown`: it may have, or may still; read the key to find out.

  `Exception.message/1` says in words what happened and what to do.

      iex> error = Ram.Error.exception({:value_too_large, 17_000_000, 16_777_216})
      iex> error.outcome
      :not_applied

  A wrong argument raises `ArgumentError`.
  """

  defexception [:reason, :outcome]

  @type reason :: :ram_error.failure() | :ram_error.cluster_error()
  @type t :: %__MODULE__{reason: reason(), outcome: :not_applied | :unknown}

  @impl true
  @spec exception(reason()) :: t()
  def exception(reason) do
    %__MODULE__{reason: reason, outcome: :ram_error.outcome(reason)}
  end

  @impl true
  @spec message(t()) :: String.t()
  def message(%__MODULE__{reason: reason}) do
    reason |> :ram_error.explain() |> IO.chardata_to_string()
  end

  @doc false
  # What a call of :ram raised, as Elixir raises it. All else stays as it is: a wrong argument,
  # which Elixir makes an ArgumentError with its explanation, and what the function of an update or
  # a transaction raises.
  @spec reraise(term(), Exception.stacktrace()) :: no_return()
  def reraise(reason, stacktrace) do
    if failure?(reason) do
      # The user's call first, without the way inside of ram.
      callers = Enum.drop_while(stacktrace, &(elem(&1, 0) not in [Ram, Ram.Tx]))
      :erlang.raise(:error, exception(reason), callers)
    else
      :erlang.raise(:error, reason, stacktrace)
    end
  end

  # The type ram_error:failure(); a test compares the two.
  defp failure?(:noproc), do: true
  defp failure?({:timeout, {:ram, _node}}), do: true
  defp failure?({:overloaded, {:ram, _node}}), do: true
  defp failure?({:value_too_large, _bytes, _bytes_max}), do: true
  defp failure?({:key_too_large, _bytes_max}), do: true
  defp failure?({:batch_too_large, _bytes_max}), do: true
  defp failure?({:unreadable_value, _key}), do: true
  defp failure?({:unreadable_result, _key}), do: true
  defp failure?({:no_table, _name}), do: true
  defp failure?({:too_many_tables, _tables_max}), do: true
  defp failure?({:not_an_integer, _key}), do: true
  defp failure?({:results_too_large, _bytes_max}), do: true
  defp failure?({:ranges_too_large, _entries_max}), do: true
  defp failure?({:compared_too_large, _steps_max}), do: true
  defp failure?({:conflict, _key}), do: true
  defp failure?({:unreadable_key, _bytes}), do: true
  defp failure?({:expired, _revision}), do: true
  defp failure?({:refused, _why}), do: true
  defp failure?(_reason), do: false
end
