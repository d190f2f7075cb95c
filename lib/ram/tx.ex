defmodule Ram.Tx do
  @moduledoc """
  What the function of `Ram.transaction/2` reads and writes.

  All reads are of one revision, with the transaction's own writes. These become visible to others
  when the function has returned, all of them at once; or never. The first argument is the one that
  the function was called with, and only the process that runs it may use it.

      iex> Ram.put(:goals, 41)
      iex> Ram.transaction(fn tx ->
      ...>   Ram.Tx.put(tx, :goals, Ram.Tx.get(tx, :goals) + 1)
      ...>   Ram.Tx.get(tx, :goals)
      ...> end)
      {:ok, 42}

  The option `table` names another table than the default one.
  """

  @typedoc "A transaction whose function is running."
  @type t :: :ram_tx.tx()
  @type option :: {:table, atom()}
  @type put_option :: {:ttl, Ram.ttl()} | option()

  # As in Ram.
  defmacrop raising(call) do
    quote do
      try do
        unquote(call)
      catch
        :error, reason -> Ram.Error.reraise(reason, __STACKTRACE__)
      end
    end
  end

  @doc """
  The value of a key, or `default` when the key is absent.

      iex> Ram.transaction(&Ram.Tx.get(&1, :griffin))
      {:ok, nil}
      iex> Ram.transaction(&Ram.Tx.get(&1, :griffin, 0, table: :default))
      {:ok, 0}
  """
  @spec get(t(), Ram.key(), default, [option()]) :: Ram.value() | default when default: term()
  def get(tx, key, default \\ nil, options \\ []) do
    options = Map.new(options)
    raising(:ram_tx.get(tx, key, default, options))
  end

  @doc """
  The value of a key as `{:ok, value}`, or `:error` when the key is absent.

      iex> Ram.transaction(&Ram.Tx.fetch(&1, :griffin))
      {:ok, :error}
  """
  @spec fetch(t(), Ram.key(), [option()]) :: {:ok, Ram.value()} | :error
  def fetch(tx, key, options \\ []) do
    options = Map.new(options)
    raising(:ram_tx.fetch(tx, key, options))
  end

  @doc """
  Sets the value of a key; with `ttl` it stays for so long.

      iex> Ram.transaction(&Ram.Tx.put(&1, :bulb, :on))
      {:ok, :ok}
      iex> Ram.get(:bulb)
      :on
  """
  @spec put(t(), Ram.key(), Ram.value(), [put_option()]) :: :ok
  def put(tx, key, value, options \\ []) do
    options = Map.new(options)
    raising(:ram_tx.put(tx, key, value, options))
  end

  @doc """
  Deletes a key; one that is absent is no error.

      iex> Ram.put(:bulb, :on)
      iex> Ram.transaction(&Ram.Tx.delete(&1, :bulb))
      {:ok, :ok}
      iex> Ram.fetch(:bulb)
      :error
  """
  @spec delete(t(), Ram.key(), [option()]) :: :ok
  def delete(tx, key, options \\ []) do
    options = Map.new(options)
    raising(:ram_tx.delete(tx, key, options))
  end

  @doc """
  The `{key, value}` of an ordered table from one key to another, as `Ram.range/3` gives them.

  What others insert there, or delete, before the transaction is done, makes it run again. Options:
  `table`, `limit`, `reverse` and `keys_only`; the answer is always a list.

      iex> Ram.create_table(:bookings, type: :ordered_set)
      iex> Ram.transaction(fn tx ->
      ...>   Ram.Tx.put(tx, {:room, 7}, "Ada", table: :bookings)
      ...>   Ram.Tx.range(tx, {:room, 1}, {:room, 31}, table: :bookings, limit: 1)
      ...> end)
      {:ok, [{{:room, 7}, "Ada"}]}
  """
  @spec range(t(), from :: Ram.key(), to :: Ram.key(), [
          {:limit, pos_integer()} | {:reverse, boolean()} | {:keys_only, boolean()} | option()
        ]) :: [term()]
  def range(tx, from, to, options \\ []) do
    options = Map.new(options)
    raising(:ram_tx.range(tx, from, to, options))
  end

  @doc """
  Ends the transaction: nothing is written, and it returns `{:aborted, reason}`.

      iex> Ram.transaction(&Ram.Tx.abort(&1, :changed_my_mind))
      {:aborted, :changed_my_mind}
  """
  @spec abort(t(), reason :: term()) :: no_return()
  def abort(tx, reason), do: raising(:ram_tx.abort(tx, reason))
end
