%% Writes, made and awaited in the calling process; called by ram alone. Counterpart of
%% request/write.rs.
-module(ram_write).

-export([put/2, put_many/1, delete/1, delete_many/1, update/3]).

%% Values above this are copied on a dirty scheduler.
-define(LARGE_BYTES, 262144).

-spec put(term(), term()) -> ok.
put(Key, Value) ->
    Call = {put, [Key, Value]},
    {Member, TimeoutMs, _} = ram_request:running(Call),
    Binary = term_to_binary(Value),
    Put = fun(Ref, Encoded) when byte_size(Binary) > ?LARGE_BYTES ->
                  ram_nif:put_large(Member, Ref, Encoded, Binary, TimeoutMs);
             (Ref, Encoded) ->
                  ram_nif:put(Member, Ref, Encoded, Binary, TimeoutMs)
          end,
    {ok, _Revision} = ram_request:checked(ram_request:call(Member, Key, Put, TimeoutMs), Call),
    ok.

-spec delete(term()) -> ok.
delete(Key) ->
    Call = {delete, [Key]},
    {Member, TimeoutMs, _} = ram_request:running(Call),
    Delete = fun(Ref, Encoded) -> ram_nif:delete(Member, Ref, Encoded, TimeoutMs) end,
    {ok, _Revision} = ram_request:checked(ram_request:call(Member, Key, Delete, TimeoutMs), Call),
    ok.

%% @doc In the order of the list, so the last value of a key stays.
-spec put_many([{term(), term()}]) -> ok.
put_many(Entries) ->
    Puts = [{Key, term_to_binary(Value)} || {Key, Value} <- Entries],
    write_many(Puts, [], {put_many, [Entries]}).

-spec delete_many([term()]) -> ok.
delete_many(Keys) ->
    write_many([], Keys, {delete_many, [Keys]}).

write_many([], [], Call) ->
    _ = ram_request:running(Call),
    ok;
write_many(Puts, Deletes, Call) ->
    {Member, TimeoutMs, _} = ram_request:running(Call),
    Write = fun(Ref) -> ram_nif:write_many(Member, Ref, Puts, Deletes, TimeoutMs) end,
    {ok, _Revision} = ram_request:checked(ram_request:call(Member, Write, TimeoutMs), Call),
    ok.

-spec update(term(), term(), fun((term()) -> term())) -> ok.
update(Key, Default, Fun) ->
    Call = {update, [Key, Default, Fun]},
    {Member, TimeoutMs, Configured} = ram_request:running(Call),
    Reads = ram_read:linearizable(Configured),
    Access = #{read => fun(LimitMs) -> ram_read:encoded(Member, Key, LimitMs, Reads) end,
               set => fun(Expect, Binary, LimitMs) ->
                              compare_and_set(Member, Key, Expect, Binary, LimitMs)
                      end},
    Change = fun(none) -> term_to_binary(Default);
                (Binary) -> term_to_binary(Fun(ram_request:decoded(Binary, Key, Call)))
             end,
    ram_request:checked(ram_update:run(Key, TimeoutMs, Access, Change), Call).

compare_and_set(Member, Key, Expect, Binary, TimeoutMs) ->
    Set = fun(Ref, Encoded) when byte_size(Binary) > ?LARGE_BYTES ->
                  ram_nif:compare_and_set_large(Member, Ref, Encoded, Expect, Binary, TimeoutMs);
             (Ref, Encoded) ->
                  ram_nif:compare_and_set(Member, Ref, Encoded, Expect, Binary, TimeoutMs)
          end,
    ram_request:call(Member, Key, Set, TimeoutMs).
